// `<docent-chat>` and `<docent-search>` until they are first used: a button, or a place on the page.
// A module without registration, for pages that want to choose the names:
//   import { DocentChat } from 'https://bot.example/element.js';
//   customElements.define('my-chat', DocentChat);

/** Where the script came from, and with it the bot, unless `endpoint` says otherwise. */
const HOME = new URL('.', document.currentScript?.src ?? import.meta.url ?? location).href;

/** Of the button alone; what it opens brings its own. Both read the same custom properties. */
const STYLE = `:host{color-scheme:light dark}
:host([mode=floating]){position:fixed;z-index:var(--docent-z-index,9999);bottom:1rem;inset-inline-end:1rem}
:host([theme=light]){color-scheme:light}:host([theme=dark]){color-scheme:dark}:host([theme=page]){color-scheme:inherit}
:host>button{padding:1em 1.2em;font:inherit;font-size:1rem;border:1px solid;border-radius:var(--docent-radius,12px);background:var(--docent-background,Canvas);color:var(--docent-text,CanvasText)}
:host([mode=floating])>button{border:0;border-radius:99px;background:var(--docent-accent,light-dark(#2d55cc,#93b1ff));color:var(--docent-on-accent,light-dark(#fff,#0e1422));box-shadow:0 0 1rem #0006}`;

/** `<docent-chat>`: begins with a question. Attributes and events are described in docs/widget.md. */
export class DocentChat extends HTMLElement {
  static mode = 'inline';
  #view; // promise of what `chat.js` makes of it
  /** The button; none in an inline element. */
  launcher;

  /** `inline`, `floating`, `modal` or `panel`; unless the attribute says so, a search is a modal. */
  get mode() {
    const mode = this.getAttribute('mode');
    return /^(inline|floating|modal|panel)$/.test(mode) ? mode : this.constructor.mode;
  }

  /** Key that opens it with Ctrl or Cmd; a modal has K unless the attribute says otherwise. */
  get hotkey() {
    return this.getAttribute('hotkey') ?? (this.mode === 'modal' ? 'k' : '');
  }

  connectedCallback() {
    const { mode, hotkey } = this;
    addEventListener('keydown', this, true);
    if (this.shadowRoot) return; // moved within the page
    this.setAttribute('mode', mode);
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets.push(sheet);
    if (mode === 'inline') {
      const seen = new IntersectionObserver((entries) => {
        if (!entries[0].isIntersecting) return;
        seen.disconnect();
        this.load();
      });
      seen.observe(this);
      return;
    }
    const button = this.launcher = document.createElement('button');
    button.part = 'launcher';
    button.append(this.getAttribute('label') ?? 'Ask the docs');
    if (hotkey) button.append(` Ctrl/⌘ ${hotkey.toUpperCase()}`);
    button.onclick = () => this.toggle();
    button.ariaExpanded = false;
    root.append(button);
    try {
      // The page before had it open. Storage is slow, so only a page that was come to from another is asked.
      if (document.referrer.includes(location.host) && sessionStorage.docent) this.load().then((view) => view.open(true));
    } catch { /* the browser forbids storage */ }
  }

  disconnectedCallback() {
    removeEventListener('keydown', this, true);
    // A move within the page reconnects at once.
    queueMicrotask(() => this.isConnected || this.#view?.then((view) => view.leave()));
  }

  /** Of the page's keys, before its own shortcuts see them. */
  handleEvent(event) {
    const { key, ctrlKey, metaKey, altKey } = event;
    // Where a bar has one for narrow windows and one for wide ones, only that answers which is seen.
    if (key !== this.hotkey || ctrlKey === metaKey || altKey || !this.checkVisibility()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.toggle();
  }

  /** What is behind the button; loaded at first use, and again after it could not be loaded. */
  load() {
    return this.#view ??= import(`${HOME}widget/chat.js?v=${CHAT_VERSION}`).then(({ mount }) => mount(this)).catch((error) => {
      this.#view = null;
      this.launcher?.append(' (!)');
      throw error;
    });
  }

  async #do(what, argument) {
    await (await this.load())[what](argument);
  }

  open() {
    return this.#do('open');
  }

  /** Opens or closes. */
  toggle() {
    return this.#do('toggle');
  }

  close() {
    return this.#view && this.#do('close');
  }

  /** Asks, as if typed; resolves when the answer stands there. */
  ask(question) {
    return this.#do('ask', question);
  }

  /** A new conversation. */
  reset() {
    return this.#do('reset');
  }

  /** Ends everything and takes the element away. */
  destroy() {
    this.remove();
  }
}

/** `<docent-search>`: begins with a search. */
export class DocentSearch extends DocentChat {
  static mode = 'modal';
}
