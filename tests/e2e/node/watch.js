// In a page with <video id="video">: play HLS with hls.js or with what the browser has itself, and
// keep an account of what happens. Used by tests/e2e/hlsjs.py and by hls_latency.cjs.
//
//     watch(URL, {native: false, keep: false, config: {...}})
//     account()
//     pitch()
//
// All times are milliseconds since `watch` was called, media times seconds.
"use strict";

(() => {
  let began = 0;
  let hls = null;
  let seen = null;
  let ear = null;
  const kept = {};
  const now = () => performance.now() - began;
  const mark = (name) => {
    seen[name] ??= now();
  };

  // All that hls.js gives to the decoders, with the offset that it gives with it.
  function keepAppended() {
    const append = SourceBuffer.prototype.appendBuffer;
    const add = MediaSource.prototype.addSourceBuffer;
    MediaSource.prototype.addSourceBuffer = function addAndName(type) {
      const buffer = add.call(this, type);
      buffer.kind = type.split("/")[0];
      return buffer;
    };
    SourceBuffer.prototype.appendBuffer = function appendAndKeep(data) {
      const bytes = new Uint8Array(ArrayBuffer.isView(data) ? data.buffer.slice(
        data.byteOffset, data.byteOffset + data.byteLength,
      ) : data.slice(0));
      (kept[this.kind] ??= []).push({ offset: this.timestampOffset, bytes });
      return append.call(this, data);
    };
  }

  // When a picture is shown, and by how much the media time went on since the one before.
  function countPictures() {
    let last = null;
    const shown = (_at, { mediaTime }) => {
      mark("firstPicture");
      seen.pictures += 1;
      if (last !== null && Math.abs(mediaTime - last) > seen.longestStep) {
        seen.longestStep = Math.abs(mediaTime - last);
      }
      if (last !== null && mediaTime < last) {
        seen.back += 1;
      }
      last = mediaTime;
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }

  function rangesOf(ranges) {
    return Array.from({ length: ranges.length }, (_, index) => [ranges.start(index), ranges.end(index)]);
  }

  function describe(level) {
    return {
      height: level.height || 0,
      codecs: level.attrs.CODECS || "",
      bandwidth: Number(level.attrs.BANDWIDTH),
      name: level.attrs.NAME || "",
    };
  }

  function listen() {
    const events = window.Hls.Events;
    hls.on(events.MANIFEST_LOADED, () => mark("manifestLoaded"));
    hls.on(events.LEVEL_LOADED, () => mark("levelLoaded"));
    hls.on(events.FRAG_LOADING, () => mark("fragmentAsked"));
    hls.on(events.FRAG_LOADED, () => mark("fragmentLoaded"));
    hls.on(events.MANIFEST_PARSED, (_event, data) => {
      seen.levels = data.levels.map(describe);
      seen.audioTracks = data.audioTracks.map((x) => ({
        name: x.name, lang: x.lang || "", default: Boolean(x.default), url: x.url,
      }));
    });
    hls.on(events.LEVEL_SWITCHED, (_event, { level }) => seen.switches.push([now(), level]));
    hls.on(events.AUDIO_TRACK_SWITCHED, (_event, { id }) => seen.audioSwitches.push([now(), id]));
    hls.on(events.FRAG_BUFFERED, (_event, { frag, part }) => {
      mark("firstBuffered");
      seen.fragments.push({
        at: now(),
        type: frag.type,
        level: frag.level,
        number: frag.sn,
        discontinuity: frag.cc,
        part: part ? part.index : null,
        encrypted: Boolean(frag.decryptdata && frag.decryptdata.method !== "NONE"),
        key: (frag.decryptdata && frag.decryptdata.uri) || "",
        url: (part || frag).url,
        map: frag.initSegment ? frag.initSegment.url : "",
        start: (part || frag).start,
        end: (part || frag).end,
      });
    });
    hls.on(events.LEVEL_UPDATED, (_event, { details }) => {
      seen.updates += 1;
      seen.skipped += details.skippedSegments || 0;
      seen.target = details.targetduration;
      seen.partTarget = details.partTarget || 0;
    });
    hls.on(events.ERROR, (_event, data) => {
      seen.errors.push({
        at: now(),
        type: data.type,
        details: data.details,
        fatal: data.fatal,
        status: data.response ? data.response.code : 0,
        url: data.url || (data.frag && data.frag.url) || "",
        reason: String(data.reason || (data.error && data.error.message) || ""),
      });
    });
  }

  window.watch = (url, { native = false, keep = false, config = {} } = {}) => {
    seen = {
      native,
      errors: [], waiting: [], seeking: [], levels: [], audioTracks: [], switches: [],
      audioSwitches: [], fragments: [], latencies: [], pictures: 0, longestStep: 0, back: 0,
      updates: 0, skipped: 0,
    };
    video.addEventListener("loadeddata", () => mark("loadedData"));
    video.addEventListener("playing", () => mark("playing"));
    video.addEventListener("waiting", () => {
      // What comes before there is anything to play is no stall.
      if (seen.playing !== undefined) {
        seen.waiting.push([now(), video.currentTime]);
      }
    });
    video.addEventListener("seeking", () => seen.seeking.push([now(), video.currentTime]));
    video.addEventListener("error", () => {
      const { code, message } = video.error;
      seen.errors.push({ at: now(), type: "video", details: String(code), fatal: true, reason: message });
    });
    countPictures();
    if (keep) {
      keepAppended();
    }
    began = performance.now();
    if (native) {
      video.src = url;
    } else {
      hls = new window.Hls(config);
      window.player = hls;
      listen();
      hls.loadSource(url);
      hls.attachMedia(video);
      setInterval(() => {
        seen.latencies.push([now(), hls.latency, hls.targetLatency ?? null, video.playbackRate]);
      }, 250);
    }
    video.play().catch((error) => {
      if (error.name !== "AbortError") {
        seen.errors.push({ at: now(), type: "play", details: error.name, fatal: true, reason: error.message });
      }
    });
  };

  window.account = () => {
    const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
    return {
      ...seen,
      at: now(),
      time: video.currentTime,
      size: [video.videoWidth, video.videoHeight],
      decoded: totalVideoFrames,
      dropped: droppedVideoFrames,
      audioBytes: video.webkitAudioDecodedByteCount,
      played: rangesOf(video.played).reduce((sum, [start, end]) => sum + end - start, 0),
      buffered: rangesOf(video.buffered),
      level: hls ? hls.currentLevel : null,
      latency: hls ? hls.latency : null,
    };
  };

  // The loudest frequency that is heard now, in hertz.
  window.pitch = () => {
    if (!ear) {
      const context = new AudioContext();
      ear = context.createAnalyser();
      ear.fftSize = 8192;
      video.muted = false;
      context.createMediaElementSource(video).connect(ear).connect(context.destination);
    }
    const levels = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(levels);
    const loudest = levels.indexOf(Math.max(...levels));
    return (loudest * ear.context.sampleRate) / ear.fftSize;
  };

  window.appendedKinds = () => Object.keys(kept);

  // What was kept of a kind, as [offset in seconds, base64] of each piece.
  window.appended = (kind) => (kept[kind] || []).map(({ offset, bytes }) => {
    let text = "";
    for (let place = 0; place < bytes.length; place += 32768) {
      text += String.fromCharCode(...bytes.subarray(place, place + 32768));
    }
    return [offset, btoa(text)];
  });
})();
