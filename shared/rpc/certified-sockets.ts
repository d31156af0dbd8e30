import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { shownPeerOf } from './certificate-trust.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import type { PeerTrust } from './peer-trust.ts';

/** A connection that is closed since whoever is at its other end does not count any more. */
export interface CutConnection {
  readonly peer: CertifiedPeer;
  readonly address: string;
  readonly reason: string;
  /** It had just been made. */
  readonly isNew: boolean;
}

export interface CertifiedSocketsNeeds {
  /** Roots, as they are now. */
  readonly credentials: Pick<PeerCredentials, 'ca'>;
  /** @default everybody counts whom TLS lets in */
  readonly trust?: PeerTrust | undefined;
  readonly onCut?: (cut: CutConnection) => void;
}

interface Entry {
  readonly peer: CertifiedPeer;
  readonly sockets: Set<TLSSocket>;
}

/**
 * The open TLS connections of one end, and who is at the other end of each (SEC-3). Connections of who does
 * not count, or not any more, are closed at once, whatever streams are on them. One whose certificate
 * names nobody is left: nothing may be asked over it. Stores nothing.
 */
export class CertifiedSockets {
  readonly #needs: CertifiedSocketsNeeds;
  /** By the fingerprint of the certificate. */
  readonly #entries = new Map<string, Entry>();
  #unwatch = () => {};

  constructor(needs: CertifiedSocketsNeeds) {
    this.#needs = needs;
  }

  /** A connection whose handshake is done, and whose certificate TLS has verified. */
  take(socket: TLSSocket): void {
    const certificate = socket.getPeerCertificate(true);
    const peer = shownPeerOf(certificate, this.#needs.credentials.ca);
    if (!peer || socket.destroyed) return;
    const reason = this.#needs.trust?.refusalOf(peer);
    if (reason !== undefined) this.#cut(socket, { peer, reason, isNew: true });
    else this.#keep(socket, certificate, peer);
  }

  /** Who has a certificate that was shown on a connection that is open; undefined for nobody. */
  peerOf(fingerprint256: string): CertifiedPeer | undefined {
    return this.#entries.get(fingerprint256)?.peer;
  }

  #keep(socket: TLSSocket, certificate: DetailedPeerCertificate, peer: CertifiedPeer): void {
    if (this.#entries.size === 0) this.#watch();
    const { fingerprint256 } = certificate;
    const entry = this.#entries.get(fingerprint256) ?? { peer, sockets: new Set<TLSSocket>() };
    this.#entries.set(fingerprint256, entry);
    entry.sockets.add(socket);
    socket.once('close', () => {
      entry.sockets.delete(socket);
      if (entry.sockets.size === 0) this.#entries.delete(fingerprint256);
      if (this.#entries.size === 0) this.#unwatch();
    });
  }

  /** As long as there is a connection, also one that its owner has given up and lets run out. */
  #watch(): void {
    this.#unwatch = this.#needs.trust?.onChange(() => this.#cutRefused()) ?? (() => {});
  }

  #cutRefused(): void {
    for (const { peer, sockets } of [...this.#entries.values()]) {
      const reason = this.#needs.trust?.refusalOf(peer);
      if (reason === undefined) continue;
      for (const socket of [...sockets]) this.#cut(socket, { peer, reason, isNew: false });
    }
  }

  #cut(socket: TLSSocket, cut: Omit<CutConnection, 'address'>): void {
    const address = socket.remoteAddress ?? 'unknown address';
    socket.destroy();
    this.#needs.onCut?.({ ...cut, address });
  }
}
