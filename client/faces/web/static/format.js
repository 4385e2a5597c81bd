// Parses message texts, without the DOM. Safari 16 lacks lookbehind and the v flag, so that no pattern uses them.

const MARKED = new RegExp(
  [
    "```(?:\\w*\\n)?(.+?)```\\n?",
    "`([^`\\n]+)`",
    // Non-ASCII punctuation ends a link, except marks used within words; so do invisible and bidi control characters.
    "https?:\\/\\/(?:[!#%&'()*,./:;?@[\\]{}·・]|[^\\s<>\"`\\\\\\p{P}\\p{Cc}\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2069]|\\p{Pd}|\\p{Pc})+",
  ].join("|"),
  "gisu",
);
const WITHIN_WORD = /[a-z0-9]$/i; // before a URL: then it is part of a word, not a link
const SENTENCE_ENDS = /[.,;:!?'"*_~]$/;
const CLOSERS = { ")": "(", "]": "[", "}": "{" };

const ONE_EMOJI = [
  "\\p{RI}{2}", // a flag
  "[#*0-9]\\ufe0f?\\u20e3", // a key
  "\\u{1f3f4}[\\u{e0020}-\\u{e007e}]+\\u{e007f}", // a flag of a region
  "(?!\\p{RI})(?:\\p{Emoji_Presentation}|\\p{ExtPict}\\ufe0f|\\p{EBase}\\p{EMod})\\p{EMod}?\\ufe0f?" +
    "(?:\\u200d\\p{ExtPict}(?:\\ufe0f|\\p{EMod})?)*",
].join("|");
const ONLY_EMOJI = new RegExp(`^(?:(?:${ONE_EMOJI})\\s?){1,6}$`, "u");

const ACTION = /^\/me (?=\S)/; // XEP-0245: others read "* Alice waves"

// Scripts without spaces between words: there, a letter next to a name belongs to another word.
const UNSPACED = "\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}\\p{sc=Thai}\\p{sc=Laoo}\\p{sc=Khmr}\\p{sc=Mymr}";
const SPACED_LETTER = `(?![${UNSPACED}])[\\p{L}\\p{N}\\p{M}_]`;
const ENDS_UNSPACED = new RegExp(`[${UNSPACED}]$`, "u");
const ENDS_SPACED = new RegExp(`${SPACED_LETTER}$`, "u");
const BEGUN = /@([^@\n]{0,32})$/;

export const isAction = (text) => ACTION.test(text);
export const withoutMe = (text) => text.replace(ACTION, "");
export const isOnlyEmoji = (text) => ONLY_EMOJI.test(text);

// Replaces half a surrogate pair, which the server rejects, by U+FFFD.
export const wellFormed = (text) => text.replace(/\p{Cs}/gu, "\ufffd");

// The incomplete name after an @ at the end of a text, or undefined.
export function begunMention(text) {
  const found = BEGUN.exec(text);
  return found && !isWithinWord(text, found.index) ? found[1] : undefined;
}

// Whether the position is within a word, as the @ of an e-mail address.
function isWithinWord(text, at) {
  return ENDS_SPACED.test(text.slice(Math.max(0, at - 2), at));
}

// A pattern of @name for these names, the longest first; null for none.
export function mentionOf(names) {
  const longestFirst = [...names].sort((one, other) => other.length - one.length);
  const all = longestFirst.map((name) => {
    const literally = name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    return ENDS_UNSPACED.test(name) ? literally : `${literally}(?!${SPACED_LETTER})`;
  });
  return all.length ? new RegExp(`@(?:${all.join("|")})`, "giu") : null;
}

// Whether a text mentions the name in the pattern `own`, and not a longer name in the pattern `all`.
export function mentions(text, own, all) {
  return text.includes("@") && partsOf(text, all).some(([kind, part]) => kind === "mention" && !part.replace(own, ""));
}

// Returns [[kind, text]]; kind is text, link, code, block or mention.
export function partsOf(text, mention) {
  const parts = [];
  let from = 0;
  const plain = (to) => {
    const stretch = text.slice(from, to);
    let at = 0;
    for (const { 0: name, index } of mention ? stretch.matchAll(mention) : []) {
      if (isWithinWord(stretch, index)) continue;
      parts.push(["text", stretch.slice(at, index)], ["mention", name]);
      at = index + name.length;
    }
    parts.push(["text", stretch.slice(at)]);
  };
  for (const { 0: all, 1: block, 2: code, index } of text.matchAll(MARKED)) {
    const link = block || code ? "" : withoutTail(upToUnopened(all));
    if (link && (WITHIN_WORD.test(text.slice(Math.max(0, index - 1), index)) || !isUrl(link))) continue;
    plain(index);
    parts.push(link ? ["link", link] : code ? ["code", code] : ["block", block.replace(/^\n|\n$/g, "")]);
    from = index + (link || all).length;
  }
  plain(text.length);
  return parts.filter(([, part]) => part);
}

// A closing bracket that is not opened within the link belongs to the sentence.
function upToUnopened(link) {
  const open = { "(": 0, "[": 0, "{": 0 };
  for (let at = 0; at < link.length; at += 1) {
    const char = link[at];
    if (char in open) open[char] += 1;
    else if (char in CLOSERS && --open[CLOSERS[char]] < 0) return link.slice(0, at);
  }
  return link;
}

function withoutTail(link) {
  let end = link.length;
  while (end && SENTENCE_ENDS.test(link[end - 1])) end -= 1;
  return link.slice(0, end);
}

function isUrl(link) {
  try {
    return Boolean(new URL(link));
  } catch {
    return false;
  }
}
