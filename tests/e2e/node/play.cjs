// Play a stream with mpegts.js, as a browser would, and keep what it gives to the decoders: FLV, or
// MPEG-TS where the address ends so, over HTTP or WebSocket.
//
//     node play.cjs URL FOLDER [MILLISECONDS]
//
// What a browser has and Node has not is made here, as small as mpegts.js lets it be: a media
// element that never plays, and a MediaSource whose buffers write all they are given to
// FOLDER/video.mp4 and FOLDER/audio.mp4. At the end of the stream, at an error, or after so many
// milliseconds a line of JSON on standard output says what happened.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const WebSocket = require("ws");

const [url, folder, milliseconds] = process.argv.slice(2);
const buffers = {};
const report = {
  complete: false, errors: [], media: null, metadata: null, buffers, close: null, messages: [],
};

class TimeRanges {
  constructor(ranges = []) {
    this.ranges = ranges;
  }
  get length() {
    return this.ranges.length;
  }
  start(index) {
    return this.ranges[index][0];
  }
  end(index) {
    return this.ranges[index][1];
  }
}

// Appends at once, but says so later, as the standard wants it.
class SourceBuffer extends EventTarget {
  constructor(type) {
    super();
    const kind = type.split("/")[0];
    this.updating = false;
    this.buffered = new TimeRanges();
    this.seen = buffers[kind] = { type, appended: 0, bytes: 0 };
    this.file = fs.openSync(path.join(folder, `${kind}.mp4`), "w");
  }
  appendBuffer(data) {
    const bytes = new Uint8Array(data);
    fs.writeSync(this.file, bytes);
    this.seen.appended += 1;
    this.seen.bytes += bytes.length;
    this.update();
  }
  remove() {
    this.update();
  }
  abort() {
    this.updating = false;
  }
  update() {
    this.updating = true;
    queueMicrotask(() => {
      this.updating = false;
      this.dispatchEvent(new Event("updateend"));
    });
  }
}

class MediaSource extends EventTarget {
  static isTypeSupported() {
    return true;
  }
  constructor() {
    super();
    this.readyState = "closed";
    this.duration = NaN;
  }
  open() {
    this.readyState = "open";
    this.dispatchEvent(new Event("sourceopen"));
  }
  addSourceBuffer(type) {
    return new SourceBuffer(type);
  }
  removeSourceBuffer() {}
  endOfStream() {
    this.readyState = "ended";
  }
}

class MediaElement extends EventTarget {
  constructor() {
    super();
    this.currentTime = 0;
    this.readyState = 0;
    this.paused = true;
    this.seeking = false;
    this.playbackRate = 1;
    this.buffered = new TimeRanges();
  }
  getVideoPlaybackQuality() {
    return { totalVideoFrames: 0, droppedVideoFrames: 0 };
  }
  load() {}
  pause() {}
  removeAttribute() {}
}

// Node's own is there only where it is asked for, and not in all versions.
class NotedWebSocket extends WebSocket {
  constructor(address) {
    super(address);
    this.addEventListener("close", ({ code, reason, wasClean }) => {
      report.close = { code, reason, wasClean };
    });
    this.addEventListener("message", ({ data }) => {
      const bytes = data instanceof ArrayBuffer ? Buffer.from(data) : null;
      report.messages.push(bytes === null ? "text" : bytes.subarray(0, 4).toString("hex"));
    });
  }
}

let source = null;
URL.createObjectURL = (object) => {
  source = object;
  setImmediate(() => source.open());
  return "blob:here";
};
URL.revokeObjectURL = () => {};
globalThis.self = globalThis;
globalThis.window = globalThis;
globalThis.WebSocket = NotedWebSocket;
globalThis.MediaSource = MediaSource;
globalThis.HTMLVideoElement = MediaElement;
globalThis.location = { protocol: "http:", href: "http://127.0.0.1/" };
globalThis.document = { location: globalThis.location };
if (!globalThis.navigator) {
  globalThis.navigator = { userAgent: "Mozilla/5.0 AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36" };
}

const mpegts = require("mpegts.js");
mpegts.LoggingControl.enableAll = false;
mpegts.LoggingControl.enableError = true;

const player = mpegts.createPlayer(
  { type: new URL(url).pathname.endsWith(".ts") ? "mpegts" : "flv", isLive: true, url },
  { enableWorker: false, enableStashBuffer: false, lazyLoad: false },
);

function finish() {
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
}

player.on(mpegts.Events.ERROR, (type, detail, info) => {
  report.errors.push({ type, detail, message: info && (info.msg || info.message) });
  finish();
});
player.on(mpegts.Events.MEDIA_INFO, (info) => {
  const { mimeType, hasAudio, hasVideo, videoCodec, audioCodec, width, height, fps } = info;
  report.media = { mimeType, hasAudio, hasVideo, videoCodec, audioCodec, width, height, fps };
});
player.on(mpegts.Events.METADATA_ARRIVED, (metadata) => {
  report.metadata = metadata;
});
player.on(mpegts.Events.LOADING_COMPLETE, () => {
  report.complete = true;
  // What was demuxed last is still on its way to the buffers.
  setTimeout(finish, 200);
});
if (milliseconds) {
  setTimeout(finish, Number(milliseconds));
}
player.attachMediaElement(new MediaElement());
player.load();
