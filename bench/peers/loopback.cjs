// Preloaded into the peers: some of them listen on all addresses, and have no
// option for that.

const net = require('node:net');

const { listen } = net.Server.prototype;

net.Server.prototype.listen = function (...args) {
    if (/^\d+$/.test(args[0]) && typeof args[1] !== 'string') {
        args.splice(1, 0, '127.0.0.1');
    }

    return listen.apply(this, args);
};
