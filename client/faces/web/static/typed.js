// Parses typed text into a message, a command, or a mistake, without the DOM.

const MAX_CHARS = 4096;
const ACTION = "/me ";
const NOTHING_SENT = "Nothing was sent.";

// [usage, meaning], as in the terminal client.
export const HELP = [
  ["/help", "show this"],
  ["/who", "who is here"],
  ["/me waves", "describe an action: * Alice waves"],
  ["/nick NAME", "change your name"],
  ["/quit [text]", "leave, with a last message"],
  ["//text", "send /text, with the slash"],
  ["@name", "mention somebody; Enter or Tab takes the marked name"],
  ["Up, Down", "messages that you sent before"],
];

// Returns {kind: "nothing" | "say" | "help" | "who" | "nick" | "quit" | "mistake", text}.
export function readTyped(typed) {
  const whole = typed.replace(/^\n+|\s+$/g, "");
  const text = whole.includes("\n") ? whole : whole.trim();
  if (!text) return { kind: "nothing", text };
  if (!text.startsWith("/")) return checked(whole);
  return text.startsWith("//") ? checked(literal(text.slice(1))) : command(text);
}

// A leading space keeps "/me " from being an action.
function literal(text) {
  return text.startsWith(ACTION) ? ` ${text}` : text;
}

function command(text) {
  const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(text);
  const known = name.toLowerCase();
  return Object.hasOwn(COMMANDS, known) ? COMMANDS[known](rest) : mistake(`There is no command /${shown(name)}. ${HINT}`);
}

const HINT = `/help lists them; to send a text that starts with /, type //. ${NOTHING_SENT}`;
const MOST_SHOWN = 40;

function shown(name) {
  const chars = [...name];
  return chars.length > MOST_SHOWN ? `${chars.slice(0, MOST_SHOWN).join("")}…` : name;
}

const withoutRest = (kind) => (rest) =>
  rest ? mistake(`/${kind} takes no arguments. ${NOTHING_SENT}`) : { kind, text: "" };

const COMMANDS = {
  help: withoutRest("help"),
  who: withoutRest("who"),
  me: (rest) => (rest ? checked(ACTION + rest) : mistake(`/me needs a text, such as /me waves. ${NOTHING_SENT}`)),
  nick: (rest) => (rest ? { kind: "nick", text: rest } : mistake(`/nick needs a name, such as /nick Alicia. ${NOTHING_SENT}`)),
  history: () => mistake("Here you scroll up to see what was said earlier."),
  quit(rest) {
    const word = checked(rest);
    return word.kind === "mistake" ? word : { kind: "quit", text: rest };
  },
};

// The server counts code points, not UTF-16 units.
function checked(text) {
  const excess = [...text].length - MAX_CHARS;
  if (excess <= 0) return { kind: "say", text };
  return mistake(`Too long by ${excess}: a message has at most ${MAX_CHARS} characters.`);
}

function mistake(text) {
  return { kind: "mistake", text };
}
