// Types of docent's widget, for pages written in TypeScript. Keep a copy beside your code.

/** Its place: in the page, behind a floating button, a window over the page, a panel beside it. */
export type DocentMode = 'inline' | 'floating' | 'modal' | 'panel';

/** `<docent-chat>`: begins with a question. */
export class DocentChat extends HTMLElement {
  /** What `mode` says, else `inline`, for a search `modal`. */
  readonly mode: DocentMode;
  /** Key that opens it with Ctrl or Cmd; empty for none. */
  readonly hotkey: string;
  /** The button; none in an inline element. */
  readonly launcher?: HTMLButtonElement;
  /** Own words for some of the texts, read at first use; the keys are those of `/widget/en.json`. */
  texts?: Record<string, string>;
  /** Loads what the button opens, without opening it. */
  load(): Promise<unknown>;
  open(): Promise<void>;
  close(): Promise<void> | undefined;
  /** Opens or closes. */
  toggle(): Promise<void>;
  /** Asks, as if typed; resolves when the answer stands there, or what became of it. */
  ask(question: string): Promise<void>;
  /** Begins a new conversation; the bot forgets the old one. */
  reset(): Promise<void>;
  /** Ends everything and takes the element away. */
  destroy(): void;
}

/** `<docent-search>`: begins with a search. */
export class DocentSearch extends DocentChat {}

/** Events of both elements. They bubble, leave shadow roots, and never carry what was asked or answered. */
export interface DocentEvents {
  'docent-open': CustomEvent<Record<string, never>>;
  'docent-close': CustomEvent<Record<string, never>>;
  'docent-ask': CustomEvent<Record<string, never>>;
  'docent-answer': CustomEvent<{ message_id: string }>;
  'docent-stop': CustomEvent<{ message_id?: string }>;
  /** `code` is one of the API's, `unreachable`, or `broken` for a connection that broke off. */
  'docent-error': CustomEvent<{ code?: string }>;
  'docent-source': CustomEvent<{ message_id: string; url: string }>;
  'docent-feedback': CustomEvent<{ message_id: string; rating: 'up' | 'down' }>;
  'docent-reset': CustomEvent<Record<string, never>>;
}

declare global {
  interface HTMLElementTagNameMap {
    'docent-chat': DocentChat;
    'docent-search': DocentSearch;
  }
  interface HTMLElementEventMap extends DocentEvents {}
}
