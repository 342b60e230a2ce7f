// A TCP relay in front of a listener, so that connections can be broken under those who connect.
import { connect, createServer } from "node:net";

export class Proxy {
  #server;
  #pairs = new Set();

  /** Listens on a free port of loopback and passes bytes on to `target`. */
  static async open(target) {
    const proxy = new Proxy();
    proxy.#server = createServer((inner) => {
      const outer = connect(target, "127.0.0.1");
      const pair = { inner, outer };
      proxy.#pairs.add(pair);
      for (const [from, to] of [[inner, outer], [outer, inner]]) {
        from.on("error", () => {});
        from.on("data", (bytes) => to.write(bytes));
        from.on("end", () => to.end());
        from.on("close", () => {
          to.destroy();
          proxy.#pairs.delete(pair);
        });
      }
    });
    await new Promise((listening) => proxy.#server.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  /** Breaks every connection that there is, without a word. */
  breakAll() {
    for (const { inner, outer } of this.#pairs) {
      inner.resetAndDestroy();
      outer.resetAndDestroy();
    }
  }

  close() {
    this.breakAll();
    this.#server.close();
  }
}
