// How far behind hls.js is in headless Chromium, how often it stalls, and how soon it shows the
// first picture. By hand, on a machine that does nothing else:
//
//     script/server --data=/tmp/latency &
//     .venv/bin/ntvmedia app add --data=/tmp/latency speed hls_segment_seconds=1 hls_part_seconds=0.2
//     cd tests/e2e/node
//     node hls_latency.cjs rtmp://127.0.0.1/speed/x 'http://127.0.0.1:8080/speed/x.m3u8?format=ll'
//     node hls_latency.cjs rtmp://127.0.0.1/speed/x 'http://127.0.0.1:8080/speed/x.m3u8?format=ts'
//
// Options behind the two addresses: --seconds=60 of playing, of which the first --settle=10 do not
// count; --tries=9 openings of the running stream; --hls=hls.js-1.6 instead of the newest; --size,
// --rate, --bitrate and --gop (in seconds) of what is published; --chromium=PROGRAM. The address to
// publish to is "-" where the stream is there already. --json prints one line of JSON.
//
// What it must give (issue 4): LL with parts of 200 ms and a GOP of 1 s: a latency of at most 1.0 s
// and no stall in 60 s; TS in segments of 1 s: at most 3.2 s; the first picture within 350 ms.
//
// The latency is hls.js's own figure (`hls.latency`): the distance to the end of the playlist, which
// grows with the time since the playlist was had. The first picture is counted from `loadSource`.
"use strict";

const { spawn } = require("node:child_process");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");

const options = {
  seconds: "60", settle: "10", tries: "9", hls: "hls.js", size: "1280x720", rate: "30",
  bitrate: "2M", gop: "1", chromium: "/usr/bin/chromium", json: "",
};
const addresses = [];
for (const word of process.argv.slice(2)) {
  const option = /^--([a-z]+)(?:=(.*))?$/.exec(word);
  if (!option) {
    addresses.push(word);
  } else if (option[1] in options) {
    options[option[1]] = option[2] ?? "yes";
  } else {
    throw new Error(`there is no option ${word}`);
  }
}
const [target, url] = addresses;
if (!url) {
  throw new Error("usage: node hls_latency.cjs RTMP-ADDRESS|- HLS-ADDRESS [OPTION...]");
}

// On the way to the first picture.
const STEPS = [
  "manifestLoaded", "levelLoaded", "fragmentAsked", "fragmentLoaded", "firstBuffered", "loadedData",
];

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : NaN;
}

function publish() {
  const { size, rate, bitrate, gop } = options;
  const frames = String(Math.round(Number(gop) * Number(rate)));
  const words = [
    "-v", "error", "-re", "-f", "lavfi", "-i", `testsrc2=size=${size}:rate=${rate}`,
    "-re", "-f", "lavfi", "-i", "sine=frequency=500:sample_rate=48000",
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
    "-g", frames, "-keyint_min", frames, "-sc_threshold", "0",
    "-b:v", bitrate, "-maxrate", bitrate, "-bufsize", bitrate,
    "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-f", "flv", target,
  ];
  const program = spawn("ffmpeg", words, { stdio: ["ignore", "ignore", "inherit"] });
  program.on("exit", (status) => {
    if (status) {
      throw new Error(`ffmpeg ended with status ${status}`);
    }
  });
  return program;
}

// A page with nothing but the element: what it loads comes from the media server.
function serve() {
  const server = http.createServer((_request, answer) => {
    answer.setHeader("Content-Type", "text/html");
    answer.end('<!doctype html><video id="video" width="640" height="360" muted></video>');
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

async function open(browser, address) {
  const page = await browser.newPage();
  await page.goto(address);
  await page.addScriptTag({
    path: path.join(__dirname, "node_modules", options.hls, "dist", "hls.min.js"),
  });
  await page.addScriptTag({ path: path.join(__dirname, "watch.js") });
  // Chromium and the machine come to rest before the clock starts: what a slow start costs stays in
  // the latency until the end.
  await sleep(1.3);
  return page;
}

const play = (page) => page.evaluate(`watch(${JSON.stringify(url)}, {config: {lowLatencyMode: true}})`);

async function firstPictures(browser, address) {
  const found = [];
  for (let count = 0; count < Number(options.tries); count += 1) {
    const page = await open(browser, address);
    await play(page);
    await page.waitForFunction("account().firstPicture !== undefined", null, { timeout: 30000 });
    found.push(await page.evaluate("account()"));
    await page.close();
  }
  return found;
}

async function main() {
  const ffmpeg = target === "-" ? null : publish();
  const server = await serve();
  const address = `http://127.0.0.1:${server.address().port}/`;
  const browser = await chromium.launch({
    executablePath: options.chromium,
    args: ["--autoplay-policy=no-user-gesture-required", ...(process.getuid() ? [] : ["--no-sandbox"])],
  });
  try {
    // The first viewer of a stream waits for its first segment; the figures are of a running one.
    const warm = await open(browser, address);
    await sleep(3);
    await play(warm);
    await sleep(8);
    await warm.close();
    const tries = await firstPictures(browser, address);
    const page = await open(browser, address);
    await play(page);
    await sleep(Number(options.seconds));
    const seen = await page.evaluate("account()");
    const counted = seen.latencies.filter(([at]) => at >= Number(options.settle) * 1000);
    const latencies = counted.map(([, latency]) => latency);
    const report = {
      url,
      hls: await page.evaluate("Hls.version"),
      browser: browser.version(),
      seconds: seen.at / 1000,
      latency: {
        median: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), max: quantile(latencies, 1),
        aimed: counted.length ? counted[counted.length - 1][2] : NaN,
      },
      stalls: seen.errors.filter((x) => x.details === "bufferStalledError").length,
      waiting: seen.waiting.length,
      stallsAt: [...seen.waiting.map(([at]) => at / 1000)],
      otherErrors: seen.errors.filter((x) => x.details !== "bufferStalledError"),
      firstPicture: {
        median: quantile(tries.map((x) => x.firstPicture), 0.5),
        least: quantile(tries.map((x) => x.firstPicture), 0),
        most: quantile(tries.map((x) => x.firstPicture), 1),
      },
      steps: Object.fromEntries(STEPS.map((name) => [name, quantile(tries.map((x) => x[name]), 0.5)])),
      played: seen.time, pictures: seen.pictures, decoded: seen.decoded, dropped: seen.dropped,
      level: seen.level, size: seen.size, seeks: seen.seeking.length,
    };
    print(report);
  } finally {
    await browser.close();
    server.close();
    if (ffmpeg) {
      ffmpeg.kill("SIGTERM");
    }
  }
}

function print(report) {
  if (options.json) {
    console.log(JSON.stringify(report));
    return;
  }
  const { latency, firstPicture } = report;
  console.log(`${url}: hls.js ${report.hls}, Chromium ${report.browser}, ${report.seconds.toFixed(1)} s`);
  console.log(`latency       median ${latency.median.toFixed(2)} s, 95 % ${latency.p95.toFixed(2)} s,`
    + ` most ${latency.max.toFixed(2)} s (hls.js aims at ${Number(latency.aimed).toFixed(2)} s)`);
  console.log(`stalls        ${report.stalls} (waiting ${report.waiting}: ${report.stallsAt.map((x) => x.toFixed(1))})`);
  console.log(`first picture median ${firstPicture.median.toFixed(0)} ms (${firstPicture.least.toFixed(0)} to`
    + ` ${firstPicture.most.toFixed(0)}); on the way`
    + STEPS.map((name) => ` ${name} ${report.steps[name]?.toFixed(0)}`).join(","));
  console.log(`pictures      ${report.pictures} shown, ${report.decoded} decoded, ${report.dropped} dropped,`
    + ` ${report.size.join("x")}, ${report.seeks} seeks`);
  for (const { at, type, details, fatal, reason } of report.otherErrors) {
    console.log(`error         ${(at / 1000).toFixed(1)} s: ${type} ${details}${fatal ? " (fatal)" : ""} ${reason}`);
  }
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
