import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { isTrustedChain, shownPeerOf } from './certificate-trust.ts';
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
  /** The peer's certificate and its issuer's, DER. */
  readonly shown: readonly [Buffer, Buffer];
  /** The roots that one of which is known to stand behind it. */
  roots: Buffer;
}

const withoutRoot = 'the root behind it is not trusted any more';

/**
 * The open TLS connections of one end, and who is at the other end of each (SEC-3). Connections of who does
 * not count, or not any more, for its root is gone too, are closed at once, whatever streams are on them. One whose certificate
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
    const entry = this.#entries.get(fingerprint256) ?? this.#newEntry(certificate, peer);
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

  #newEntry(certificate: DetailedPeerCertificate, peer: CertifiedPeer): Entry {
    const { raw, issuerCertificate } = certificate;
    const roots = this.#needs.credentials.ca;
    return { peer, sockets: new Set(), shown: [raw, issuerCertificate?.raw ?? raw], roots };
  }

  #cutRefused(): void {
    for (const entry of [...this.#entries.values()]) {
      const reason = this.#refusalOf(entry);
      if (reason === undefined) continue;
      const { peer, sockets } = entry;
      for (const socket of [...sockets]) this.#cut(socket, { peer, reason, isNew: false });
    }
  }

  #refusalOf(entry: Entry): string | undefined {
    const { ca } = this.#needs.credentials;
    if (entry.roots !== ca) {
      if (!isTrustedChain(entry.shown, ca)) return withoutRoot;
      entry.roots = ca;
    }
    return this.#needs.trust?.refusalOf(entry.peer);
  }

  #cut(socket: TLSSocket, cut: Omit<CutConnection, 'address'>): void {
    const address = socket.remoteAddress ?? 'unknown address';
    socket.destroy();
    this.#needs.onCut?.({ ...cut, address });
  }
}
