// Search in pages opened from disk: browsers start no worker from file:, so its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.pass = (event) => {
        if (event.source !== this.frame.contentWindow) return;
        event.stopImmediatePropagation();
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      addEventListener("message", this.pass);
      const inner = this.frame.contentDocument;
      inner.open();
      inner.write(`<script>postMessage = (data) => parent.postMessage(data, "*");
        importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done, fail) => document.body.append(Object.assign(document.createElement("script"), { src: new URL(url, "${url}"), onload: done, onerror: fail })))));<\/script><body><script src="${url}"><\/script>`);
      inner.close();
      this.ready = new Promise((done) => this.frame.addEventListener("load", done, { once: true }));
    }
    postMessage(data) { this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))); }
    terminate() { removeEventListener("message", this.pass); this.frame.remove(); }
  };
}
