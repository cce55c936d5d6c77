// The script of page.html in a stand-in for a browser: a picture is opened and, while it is still being encoded, a stream.
// Prints what is shown and offered for download at once and a while later, as JSON.
"use strict";
const fs = require("fs");
const code = fs.readFileSync(process.argv[2], "utf8").match(/<script>([\s\S]*?)<\/script>/)[1];
const elements = {};
function element(id) {
  elements[id] ??= {
    id, textContent: "", hidden: false, value: "50", files: [], length: 2, style: { setProperty() {} },
    classList: { add() {}, remove() {}, toggle() {}, contains() { return false; } },
    addEventListener() {}, add() {},
    get firstElementChild() { return (this.child ??= { src: "", addEventListener() {} }); },
    get parentElement() { return (this.parent ??= {}); },
    closest() { return (this.figure ??= { hidden: false, querySelector: () => (this.small ??= { textContent: "" }) }); },
  };
  return elements[id];
}
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
global.document = { getElementById: element, querySelectorAll: () => [], addEventListener() {}, body: { classList: { add() {} } } };
global.URL = { createObjectURL: (blob) => "blob:" + blob.name, revokeObjectURL() {} };
global.Option = function () {};
const answer = (blob) => ({
  ok: true,
  headers: { get: () => "64" },
  blob: async () => blob,
  json: async () => ({ limits: { max_effort: 2, max_body: 1 }, model: { effort: [0, 2], name: "x", fingerprint: "y" } }),
});
global.fetch = async (url, options = {}) => {
  const [kind, time] = url.startsWith("v1/encode") ? ["stream of ", 200] : url.startsWith("v1/decode") ? ["view of ", 20] : [null, 0];
  if (kind === null) return answer({});
  await wait(time);
  if (options.signal.aborted) throw Object.assign(new Error("aborted"), { name: "AbortError" });
  return answer({ name: kind + options.body.name, size: 100 });
};
(async () => {
  const { open, encode } = new Function(code + "; return { open, encode };")();
  const found = () => [element("human").firstElementChild.src, element("download").href, element("download").download];
  open({ name: "photo.png", type: "image/png", size: 9999 });
  await wait(50);
  await open({ name: "other.ugic", type: "", size: 77 });
  const first = found();
  await encode();  // as by a slider that was moved just before
  await wait(400);
  console.log(JSON.stringify([first, found()]));
})();
