// Plays a stream by the browser's own HLS, says what goes on, and goes on by itself when it can.
//
// The page is the same for every stream: what to play is in its address, /APP/STREAM?QUERY or
// /embed/APP/STREAM?QUERY. Whatever comes from there or from the server is shown as text only.
"use strict";

const TEXTS = {
  en: {
    connecting: "Connecting …",
    live: "Live",
    sound: "Live, sound only",
    paused: "Paused",
    waiting: "Waiting for the stream. It plays here as soon as it is there.",
    stalled: "Nothing comes at the moment. It goes on here when more comes.",
    ended: "The stream has ended. It goes on here when it comes back.",
    refused: "The server does not let you play this stream.",
    busy: "The server is busy. Trying again …",
    lost: "The server cannot be reached. Trying again …",
    failed: "This browser cannot play this stream. Try its address in a player such as VLC:",
    unsupported:
      "This browser cannot play HLS. Use a current Chrome, Edge or Safari, or open this address " +
      "in a player such as VLC:",
    start: "Play",
    unmute: "Turn on the sound",
    addresses: "Addresses of this stream",
    embed: "For web pages",
    copy: "Copy",
    copied: "Copied",
    selected: "Selected",
  },
  zh: {
    connecting: "正在连接……",
    live: "直播中",
    sound: "直播中，仅有声音",
    paused: "已暂停",
    waiting: "正在等待直播流，开始后将在此自动播放。",
    stalled: "暂时没有数据，恢复后将在此继续播放。",
    ended: "直播流已结束，恢复后将在此继续播放。",
    refused: "服务器不允许播放此直播流。",
    busy: "服务器繁忙，正在重试……",
    lost: "无法连接服务器，正在重试……",
    failed: "此浏览器无法播放该直播流，请用 VLC 等播放器打开以下地址：",
    unsupported:
      "此浏览器不支持播放 HLS。请使用新版 Chrome、Edge 或 Safari，或用 VLC 等播放器打开以下地址：",
    start: "播放",
    unmute: "打开声音",
    addresses: "直播流地址",
    embed: "网页嵌入代码",
    copy: "复制",
    copied: "已复制",
    selected: "已选中",
  },
};

// Milliseconds. The server itself holds a request for a stream that is not there, 15 seconds unless
// it is set otherwise; a frame that is late for less than SHORT is not worth a word.
const SHORT = 3000;
const DOUBTFUL = 6000;
const STALLED = 30000;
const PATIENCE = 45000;
const FIRST_RETRY = 1000;
const LAST_RETRY = 10000;
const LAST_RETRY_IF_REFUSED = 30000;

// After such a pause what comes next is no longer in the playlist, or no longer live.
const LONG_PAUSE = 8000;

// After so many milliseconds of play what failed before is forgotten.
const STEADY = 10000;

// Chromium 156 gives up ("Segment queue never had any data") when all segments that there are were
// read before it began to play, as they are of a playlist that just began: so often it is told to
// try again before anything else is thought of, a second later each time.
const EARLY = 6;
const EARLY_RETRY = 1000;

// So many times the playlist was good and yet nothing played: it is the browser that cannot.
const FUTILE = 3;

const HLS = "application/vnd.apple.mpegurl";

const language = /^zh\b/i.test(navigator.language) ? "zh" : "en";
const embedded = document.body.classList.contains("embed");
const settings = new URLSearchParams(location.search);
const video = document.getElementById("video");
const startButton = document.getElementById("start");
const unmuteButton = document.getElementById("unmute");

function text(key) {
  return TEXTS[language][key];
}

// Where this stream is: what stands before its name belongs to a proxy in front of the server.
const segments = location.pathname.split("/");
const [application, stream] = segments.slice(-2);
const prefix = segments.slice(0, embedded ? -3 : -2).join("/");

// The page's query goes with every request, but for what is meant for the embedded player itself.
const passed = location.search
  .slice(1)
  .split("&")
  .filter((pair) => pair && !["autoplay", "controls", "muted", "page"].includes(pair.split("=")[0]));
const query = passed.length ? `?${passed.join("&")}` : "";

function address(extension, folder = "", origin = location.origin) {
  return `${origin}${prefix}${folder}/${application}/${stream}${extension}${query}`;
}

const playlist = address(".m3u8");

// Where only pages of some sites may play, the server asked where this one is shown before it gave
// it a session, which stands for the answer. It is not for addresses that people pass on.
const PAGE_SESSION = /<meta name="page-session" content="([\w.-]*)">/;
const RENEWED = 240000;
let session = document.querySelector('meta[name="page-session"]').content;
let renewedAt = Date.now();

function withSession(url) {
  return session ? `${url}${url.includes("?") ? "&" : "?"}page=${session}` : url;
}

// It holds for some minutes, and is needed whenever the player begins again.
async function renew() {
  try {
    const answer = await fetch(withSession(location.pathname + query), { cache: "no-store" });
    [, session] = PAGE_SESSION.exec(await answer.text()) || ["", session];
    renewedAt = Date.now();
  } catch {
    // The server cannot be reached: the next time, or it has to be loaded again.
  }
}

function plain(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

// --- What is shown ---

function say(state, key = state, reason = "") {
  const said = document.getElementById("said");
  const words = text(key);
  const because = document.getElementById("reason");
  const elsewhere = document.getElementById("elsewhere");
  document.body.dataset.state = state;
  // A screen reader reads whatever is set, even when it is the same again.
  if (said.textContent !== words) {
    said.textContent = words;
  }
  if (because.textContent !== reason) {
    because.textContent = reason;
  }
  elsewhere.hidden = state !== "unsupported" && state !== "failed";
}

function addRow(template, label, value) {
  const row = template.content.cloneNode(true);
  const field = row.querySelector("input");
  const button = row.querySelector("button");
  row.querySelector("span").textContent = label;
  field.value = value;
  button.textContent = text("copy");
  button.setAttribute("aria-label", `${text("copy")}: ${label}`);
  button.addEventListener("click", async () => {
    field.select();
    let done = "copied";
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      // A page without TLS has no clipboard of its own; the older way needs the selection.
      done = document.execCommand("copy") ? "copied" : "selected";
    }
    button.textContent = text(done);
    setTimeout(() => {
      button.textContent = text("copy");
    }, 2000);
  });
  document.getElementById("addresses").append(row);
}

function frameCode() {
  const source = address("", "/embed").replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return (
    `<iframe src="${source}" width="640" height="360" style="border: 0" ` +
    'allow="autoplay; picture-in-picture" allowfullscreen></iframe>'
  );
}

function showAddresses() {
  const template = document.getElementById("row");
  const sockets = location.origin.replace(/^http/, "ws");
  addRow(template, "HLS", playlist);
  addRow(template, "HTTP-FLV", address(".flv"));
  addRow(template, "WebSocket-FLV", address(".flv", "", sockets));
  addRow(template, "HTTP-TS", address(".ts"));
  addRow(template, text("embed"), frameCode());
}

function showPage() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = plain(stream);
  video.setAttribute("aria-label", plain(stream));
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  const elsewhere = document.getElementById("elsewhere");
  elsewhere.href = elsewhere.textContent = playlist;
  if (!embedded) {
    document.getElementById("application").textContent = `${plain(application)}/`;
    document.getElementById("stream").textContent = plain(stream);
    showAddresses();
  }
}

// --- What goes on ---

let wanted = true; // somebody wants to see it: not paused by hand
let attached = false; // the video element has a playlist
let turn = 0; // each attempt has a number: what belongs to an older one is void
let timer = 0; // of the next attempt
let question = new AbortController(); // ends the question that the server is being asked
let askedAt = 0;
let failures = 0; // attempts since it last played well
let futile = 0; // of them, with a good playlist
let early = 0; // errors before anything played, with the playlist at hand
let hasPlayed = false;
let position = 0;
let movedAt = 0; // when the position last changed
let doubtedAt = 0; // when that was last good, or asked for
let movingSince = 0; // since when it changes; 0 when it did not in this attempt
let pausedAt = 0; // when it was paused by hand

// --- Asking ---

// Fetch the playlist: what refuses the video element says nothing of the server's reason.
async function ask() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  askedAt = Date.now();
  question.abort();
  const asked = (question = new AbortController());
  const patience = setTimeout(() => asked.abort(), PATIENCE);
  let found = { status: 0, reason: "", source: "" };
  try {
    found = await find(asked.signal);
  } catch {
    // The server cannot be reached, or took too long.
  }
  clearTimeout(patience);
  if (mine === turn) {
    answered(found);
  }
}

async function find(signal) {
  if (session && Date.now() - renewedAt > RENEWED) {
    // No timer ran while the machine slept.
    await renew();
  }
  let source = withSession(playlist);
  let answer = await fetch(source, { cache: "no-store", signal });
  if (answer.status === 200) {
    const only = onlyVariant(await answer.text(), answer.url);
    if (only) {
      source = only;
      answer = await ripe(source, signal);
    }
  }
  const { status } = answer;
  return { status, source, reason: status === 200 ? "" : await reasonOf(answer) };
}

// The media playlist, where there is one alone: playing it directly goes on with the session that
// was just begun, so that a viewer counts once. The sound alone beside pictures does not count.
function onlyVariant(text, base) {
  const lines = text.split(/\r?\n/);
  const variants = lines
    .map((line, place) => [line, lines[place + 1] ?? ""])
    .filter(([line]) => line.startsWith("#EXT-X-STREAM-INF:"));
  const seen = variants.filter(([line]) => line.includes("RESOLUTION="));
  const chosen = seen.length ? seen : variants;
  const alone = chosen.length === 1 && !lines.some((line) => line.startsWith("#EXT-X-MEDIA:"));
  return alone ? new URL(chosen[0][1], base).href : "";
}

// Wait until a playlist has two segments: with one alone Chromium seldom begins.
async function ripe(source, signal) {
  const began = Date.now();
  for (;;) {
    const answer = await fetch(source, { cache: "no-store", signal });
    if (answer.status !== 200) {
      return answer;
    }
    const text = await answer.text();
    const [, duration] = /^#EXT-X-TARGETDURATION:(\d+)/m.exec(text) || ["", "2"];
    const enough = text.split("#EXTINF:").length > 2 || text.includes("#EXT-X-ENDLIST");
    if (enough || Date.now() - began > 3000 * duration) {
      return answer;
    }
    await new Promise((done) => setTimeout(done, 300));
  }
}

async function reasonOf(answer) {
  if (!/^text\/plain\b/.test(answer.headers.get("Content-Type") || "")) {
    return `${answer.status} ${answer.statusText}`;
  }
  const line = (await answer.text()).trim().slice(0, 300);
  return line.replace(/^\d{3} [^:]*: /, "");
}

function answered({ status, source, reason }) {
  if (status === 200) {
    failures += 1;
    futile += 1;
    if (futile <= FUTILE) {
      early = 0;
      connect(source);
      return;
    }
    say("failed");
    retry(LAST_RETRY_IF_REFUSED);
  } else if (status === 404) {
    say("waiting", hasPlayed ? "ended" : "waiting", reason);
    // It was held for a while already.
    retry(LAST_RETRY, Date.now() - askedAt);
  } else if (status === 429 || status >= 500) {
    say("waiting", "busy", reason);
    retry(LAST_RETRY);
  } else if (status) {
    say("refused", "refused", reason);
    retry(LAST_RETRY_IF_REFUSED);
  } else {
    say("waiting", "lost");
    retry(LAST_RETRY);
  }
}

function retry(longest, spent = 0) {
  failures += 1;
  const delay = Math.min(longest, FIRST_RETRY * 1.7 ** (failures - 1));
  // Not all viewers of a stream that broke come back in the same moment.
  timer = setTimeout(ask, Math.max(FIRST_RETRY / 2, delay * (0.8 + 0.4 * Math.random()) - spent));
}

// --- Playing ---

function begin() {
  startButton.hidden = true;
  wanted = true;
  failures = futile = 0;
  say("connecting");
  ask();
}

function connect(source) {
  turn += 1;
  attached = true;
  position = movingSince = 0;
  movedAt = doubtedAt = Date.now();
  say("connecting");
  video.src = source;
  play();
}

function detach() {
  turn += 1;
  attached = false;
  clearTimeout(timer);
  question.abort();
  video.removeAttribute("src");
  video.load();
  document.getElementById("screen").classList.remove("sound");
}

async function play() {
  const mine = turn;
  try {
    await video.play();
  } catch (error) {
    // Other errors are told by the element's "error" event too.
    if (mine !== turn || error.name !== "NotAllowedError") {
      return;
    }
    if (video.muted) {
      stand();
    } else {
      // Browsers play by themselves only what is silent, until somebody has touched the page.
      video.muted = true;
      unmuteButton.hidden = false;
      play();
    }
  }
}

// Do nothing until somebody wants to see it.
function stand() {
  wanted = false;
  detach();
  say("paused");
  startButton.hidden = false;
}

// It broke: find out why, at once or after a while.
function broken() {
  detach();
  if (!wanted) {
    stand();
    return;
  }
  say("waiting", hasPlayed ? "stalled" : "waiting");
  if (failures > 1) {
    retry(LAST_RETRY);
  } else {
    ask();
  }
}

// An element that gets nothing more may ask on and on: see whether the stream is there, which no
// HEAD request waits for, and whether we may still have it.
async function doubt() {
  const mine = turn;
  doubtedAt = Date.now();
  const asked = new AbortController();
  const patience = setTimeout(() => asked.abort(), DOUBTFUL);
  let good = false;
  try {
    const { signal } = asked;
    good =
      (await fetch(withSession(playlist), { method: "HEAD", cache: "no-store", signal })).ok &&
      (await fetch(video.src, { cache: "no-store", signal })).ok;
  } catch {
    // Then it is not.
  }
  clearTimeout(patience);
  if (mine === turn && !good) {
    broken();
  }
}

// Called every half second: nothing else tells that nothing comes.
function look() {
  const now = Date.now();
  if (!wanted) {
    return;
  }
  if (!attached) {
    if (document.body.dataset.state === "connecting" && now - askedAt > SHORT) {
      say("waiting");
    }
    return;
  }
  if (video.currentTime !== position) {
    position = video.currentTime;
    movedAt = doubtedAt = now;
    movingSince = movingSince || now;
    hasPlayed = true;
    if (now - movingSince > STEADY) {
      failures = futile = 0;
    }
    say("live", document.getElementById("screen").classList.contains("sound") ? "sound" : "live");
    return;
  }
  if (now - movedAt > SHORT) {
    say("waiting", movingSince ? "stalled" : "waiting");
  }
  if (now - movedAt > STALLED) {
    broken();
  } else if (now - doubtedAt > DOUBTFUL) {
    doubt();
  }
}

function again() {
  if (wanted && !attached) {
    ask();
  }
}

function listen() {
  video.addEventListener("error", () => {
    const source = video.src;
    if (attached && !movingSince && early < EARLY) {
      early += 1;
      timer = setTimeout(() => connect(source), EARLY_RETRY);
    } else if (attached) {
      broken();
    }
  });
  video.addEventListener("ended", () => {
    if (attached) {
      detach();
      say("waiting", "ended");
      retry(LAST_RETRY);
    }
  });
  video.addEventListener("loadedmetadata", () => {
    document.getElementById("screen").classList.toggle("sound", video.videoWidth === 0);
  });
  video.addEventListener("pause", () => {
    if (attached && !video.ended && !video.error) {
      wanted = false;
      pausedAt = Date.now();
      say("paused");
    }
  });
  video.addEventListener("play", () => {
    if (!attached || wanted) {
      return;
    }
    wanted = true;
    if (video.duration === Infinity && Date.now() - pausedAt > LONG_PAUSE) {
      detach();
      begin();
    } else {
      movedAt = doubtedAt = Date.now();
      movingSince = 0;
    }
  });
  video.addEventListener("volumechange", () => {
    if (!video.muted) {
      unmuteButton.hidden = true;
    }
  });
  unmuteButton.addEventListener("click", () => {
    video.muted = false;
    video.focus();
  });
  startButton.addEventListener("click", () => {
    // Safari lets an element play later only if it was told to do something in the click.
    video.load();
    begin();
  });
  addEventListener("online", again);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      again();
    }
  });
  setInterval(look, 500);
  if (session) {
    setInterval(renew, RENEWED);
  }
}

function main() {
  showPage();
  if (embedded) {
    video.controls = settings.get("controls") !== "0";
    video.muted = settings.get("muted") === "1";
  }
  if (!video.canPlayType(HLS)) {
    say("unsupported");
    return;
  }
  listen();
  if (embedded && settings.get("autoplay") === "0") {
    stand();
  } else {
    begin();
  }
}

main();
