// Sending: a message is drawn at once, then confirmed by its seq or marked as not sent.

export class Outbox {
  #rpc;
  #store;

  constructor(rpc, store) {
    this.#rpc = rpc;
    this.#store = store;
  }

  send(text) {
    return this.#try(newId(), text);
  }

  // The same client_msg_id again: if it did arrive the first time, it is not said twice.
  again(client_msg_id) {
    const unsent = this.#store.unsent.get(client_msg_id);
    return unsent && this.#try(client_msg_id, unsent.text);
  }

  async #try(client_msg_id, text) {
    const store = this.#store;
    store.setUnsent(client_msg_id, text, "");
    try {
      const { seq } = await this.#rpc.call("SendMessage", { text, client_msg_id });
      const { id: sender_id, name: sender_name } = store.session;
      const sent_at = new Date().toISOString();
      store.add({ seq, sender_id, sender_name, text, is_system: false, event: null, sent_at, client_msg_id });
    } catch (error) {
      if (error.code === undefined) throw error;
      // It may have come in by the history while its own answer got lost.
      if (store.unsent.has(client_msg_id)) store.setUnsent(client_msg_id, text, error.message);
    }
  }
}

// Not crypto.randomUUID: a page that is not on localhost and has no TLS lacks it.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
