// Prism's tokenizer and the two languages that are shown here. It never touches the page: it is told
// not to look for code by itself before it is loaded, and its tokens are drawn by code.jsx.
window.Prism = { manual: true };
const Prism = require("prismjs/components/prism-core.js");
window.Prism = Prism; // the languages look for it there
require("prismjs/components/prism-lua.js");
require("prismjs/components/prism-json.js");

// The lines of a text, each a list of [kind or "", text].
export function lines(text, language) {
  const all = [[]];
  const add = (token, kind) => {
    if (typeof token === "string") {
      token.split("\n").forEach((part, i) => {
        if (i > 0) all.push([]);
        if (part) all[all.length - 1].push([kind, part]);
      });
    } else if (Array.isArray(token)) {
      for (const one of token) add(one, kind);
    }
    else add(token.content, token.type);
  };
  const grammar = Prism.languages[language];
  add(grammar ? Prism.tokenize(text, grammar) : text, "");
  if (all.length > 1 && all[all.length - 1].length === 0) all.pop(); // behind the last line's end
  return all;
}
