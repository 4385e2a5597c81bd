// What a text is made of. Knows nothing of the document.

const MARKED = /```(?:\w*\n)?(.+?)```\n?|`([^`\n]+)`|\bhttps?:\/\/[^\s<>"`]+/gsu;
const ONLY_EMOJI = /^(?:\p{RGI_Emoji}\s?){1,6}$/v;
const ACTION = /^\/me (?=\S)/; // XEP-0245: others read "* Alice waves"

export const isAction = (text) => ACTION.test(text);
export const withoutMe = (text) => text.replace(ACTION, "");
export const isOnlyEmoji = (text) => ONLY_EMOJI.test(text);

// A pattern of @name for these names, the longest first; null for none.
export function mentionOf(names) {
  const all = names.sort((one, other) => other.length - one.length).map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return all.length ? new RegExp(`(?<![\\p{L}\\p{N}])@(?:${all.join("|")})(?![\\p{L}\\p{N}])`, "giu") : null;
}

// [[kind, text]], kind one of text, link, code, block, mention.
export function partsOf(text, mention) {
  const parts = [];
  let from = 0;
  const plain = (to) => {
    const stretch = text.slice(from, to);
    let at = 0;
    for (const { 0: name, index } of mention ? stretch.matchAll(mention) : []) {
      parts.push(["text", stretch.slice(at, index)], ["mention", name]);
      at = index + name.length;
    }
    parts.push(["text", stretch.slice(at)]);
  };
  for (const { 0: all, 1: block, 2: code, index } of text.matchAll(MARKED)) {
    const link = block || code ? "" : withoutTail(all);
    if (link && !URL.canParse(link)) continue;
    plain(index);
    parts.push(link ? ["link", link] : code ? ["code", code] : ["block", block.replace(/^\n|\n$/g, "")]);
    from = index + (link || all).length;
  }
  plain(text.length);
  return parts.filter(([, part]) => part);
}

// A full stop or bracket behind a link is the sentence's.
function withoutTail(link) {
  const isOpened = link.at(-1) === ")" && link.split("(").length >= link.split(")").length;
  return /[.,;:!?'"\])}]$/.test(link) && !isOpened ? withoutTail(link.slice(0, -1)) : link;
}
