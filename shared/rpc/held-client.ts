import { type Client, connectivityState } from '@grpc/grpc-js';
import type { PeerCredentials } from './peer-credentials.ts';

/**
 * A gRPC client, and the calls that run on it: so that one that is replaced lets them end before it
 * closes. gRPC itself would fail those that are only about to begin.
 */
export class HeldClient {
  readonly client: Client;
  readonly #certificate: Buffer;
  readonly #ca: Buffer;
  #callCount = 0;
  #isRetired = false;
  #isClosed = false;

  /**
   * @param credentials those the client was made with
   * @param onReady called each time a connection is made, before anybody who waits for it goes on
   */
  constructor(client: Client, { certificate, ca }: PeerCredentials, onReady: () => void) {
    this.client = client;
    this.#certificate = certificate;
    this.#ca = ca;
    this.#watch(onReady);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether a call is on it, or waits for its connection. */
  get isUsed(): boolean {
    return this.#callCount > 0;
  }

  /** Whether there is a connection now. */
  get isReady(): boolean {
    return this.state() === connectivityState.READY;
  }

  /** @param tryToConnect whether to begin to connect when nothing is done about it */
  state(tryToConnect = false): connectivityState {
    return this.client.getChannel().getConnectivityState(tryToConnect);
  }

  /** Whether these are the credentials it was made with: they may have been replaced since. */
  isMadeWith({ certificate, ca }: PeerCredentials): boolean {
    return this.#certificate === certificate && this.#ca === ca;
  }

  /** Keeps it open until a call on it is over. */
  keepFor(callOver: Promise<void>): void {
    this.#callCount++;
    void callOver.then(() => {
      this.#callCount--;
      this.#closeIfUnused();
    });
  }

  /** Closes it once the calls on it are over; no new ones are to be made. */
  retire(): void {
    this.#isRetired = true;
    this.#closeIfUnused();
  }

  /** Closes it now; calls that run may go on to their end, those that wait for a connection fail. */
  close(): void {
    this.#isClosed = true;
    this.client.close();
  }

  #watch(onReady: () => void): void {
    const changed = () => {
      if (this.#isClosed) return;
      if (this.isReady) onReady();
      this.#watch(onReady);
    };
    const forever = Number.POSITIVE_INFINITY;
    this.client.getChannel().watchConnectivityState(this.state(), forever, changed);
  }

  #closeIfUnused(): void {
    if (this.#isRetired && this.#callCount === 0 && !this.#isClosed) this.close();
  }
}
