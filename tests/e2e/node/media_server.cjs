// Node-Media-Server on 127.0.0.1: `node media_server.cjs RTMP_PORT HTTP_PORT`.
'use strict';

const net = require('net');

// It has no setting for the address, and would listen on all of them.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, done) {
  return listen.call(this, { port, host: '127.0.0.1' }, done);
};

const NodeMediaServer = require('node-media-server');

const [rtmpPort, httpPort] = process.argv.slice(2).map(Number);
new NodeMediaServer({
  logType: 1,
  rtmp: { port: rtmpPort, chunk_size: 60000, gop_cache: true, ping: 30, ping_timeout: 60 },
  http: { port: httpPort, allow_origin: '*' },
}).run();
