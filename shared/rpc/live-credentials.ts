import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import type { PeerCredentials } from './peer-credentials.ts';

/**
 * The credentials of an agent that renews its certificate while it runs: whoever reads them gets the
 * newest. Servers show them to new connections, channels use them from the next call on; what runs goes
 * on as it was. Replaced by whoever keeps the files; holds no file itself.
 */
export class LiveCredentials implements PeerCredentials {
  #current: PeerCredentials;
  readonly #listeners = new Set<() => void>();

  constructor(first: PeerCredentials) {
    this.#current = first;
  }

  get ca(): Buffer {
    return this.#current.ca;
  }

  get certificate(): Buffer {
    return this.#current.certificate;
  }

  get key(): Buffer {
    return this.#current.key;
  }

  get identity(): PeerIdentity {
    return this.#current.identity;
  }

  /**
   * Uses these from now on, and tells those who listen. They must be of the same identity: who an
   * agent is stands in its configuration, and changes with that alone.
   */
  replace(next: PeerCredentials): void {
    const [is, will] = [toIdentityUri(this.identity), toIdentityUri(next.identity)];
    if (is !== will)
      throw new Error(`Credentials of ${is} were to be replaced by those of ${will}`);
    const { ca, certificate, key, identity } = next;
    this.#current = { ca, certificate, key, identity };
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls the listener after each change. @returns what ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
