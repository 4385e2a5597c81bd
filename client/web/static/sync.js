// Brings the store up to date whenever the seat is online (again): the history from where it stands, then who is here.

const PAGE = 100; // messages read at first, and for "earlier"
const CATCH_UP = 300; // the most that one GetHistory gives
const FAR_BEHIND = 1000; // beyond this it is quicker, and kinder to the reader, to begin at the newest
const MEMBERS = 200;
const RETRY = 2000; // ms

export class Sync {
  #rpc;
  #store;
  #wanted = false;
  #running = false;

  constructor(rpc, store) {
    this.#rpc = rpc;
    this.#store = store;
  }

  async run() {
    this.#wanted = true;
    if (this.#running) return;
    this.#running = true;
    while (this.#wanted) {
      this.#wanted = false;
      try {
        this.#store.setBusy(true);
        await this.#history();
        await this.#members();
      } catch (error) {
        if (error.code === undefined) throw error;
        this.#tryLater();
      } finally {
        this.#store.setBusy(false);
      }
    }
    this.#running = false;
  }

  async earlier() {
    const page = await this.#rpc.call("GetHistory", { before: this.#store.messages[0].seq, limit: PAGE });
    this.#take(page);
  }

  // Without a connection or a seat there is nothing to try: coming back begins anew by itself.
  #tryLater() {
    setTimeout(() => {
      if (this.#store.isOnline) this.run();
    }, RETRY);
  }

  async #history() {
    let after = this.#store.behind;
    while (after !== null) {
      const page = await this.#rpc.call("GetHistory", { after, limit: CATCH_UP });
      if (page.epoch !== this.#store.epoch) {
        this.#store.clear("The server has begun a new log. What was said before is gone.");
        break;
      }
      if (page.seq - after > FAR_BEHIND) {
        this.#store.clear("");
        break;
      }
      this.#take(page);
      const last = page.messages.at(-1)?.seq ?? after;
      if (page.messages.length < CATCH_UP) return this.#store.caughtUp(last);
      after = last;
    }
    const page = await this.#rpc.call("GetHistory", { limit: PAGE });
    this.#take(page);
    return this.#store.caughtUp(page.messages.at(-1)?.seq ?? 0);
  }

  #take(page) {
    for (const message of page.messages) this.#store.add(message);
    this.#store.setLog(page.epoch, page.oldest);
  }

  async #members() {
    const page = await this.#rpc.call("ListMembers", { limit: MEMBERS });
    this.#store.setMembers(page.members, page.member_count, page.seq);
  }
}
