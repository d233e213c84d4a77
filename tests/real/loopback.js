// Loaded before kinesis-local, which listens on every interface and has no option for it: nobody else may reach it.
"use strict";
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port !== "number") return listen.call(this, port, ...rest);
  if (typeof rest[0] === "string") rest.shift();
  return listen.call(this, port, "127.0.0.1", ...rest);
};
