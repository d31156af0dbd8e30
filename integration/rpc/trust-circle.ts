import { readFile, rm } from 'node:fs/promises';
import { type Flaw, issueDevelopmentHierarchy } from '../../certs/development-hierarchy.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import type { Conversation, ConversationName } from '../../shared/rpc/conversation.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import { RpcChannel, type RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import type { Keepalive } from '../../shared/rpc/rpc-limits.ts';
import { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';

export const site: PeerIdentity = { kind: 'site', siteCode: 'PS1' };
export const otherSite: PeerIdentity = { kind: 'site', siteCode: 'PS2' };
export const dp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP1' };
export const otherDp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP2' };
export const fullAdmin: PeerIdentity = { kind: 'admin', role: 'full', name: 'alice' };
export const operator: PeerIdentity = { kind: 'admin', role: 'operator', name: 'olga' };
export const reader: PeerIdentity = { kind: 'admin', role: 'read-only', name: 'rita' };
export const client: PeerIdentity = { kind: 'client', name: 'pc1' };

/** One of each kind of peer there is. */
export const peers = [site, otherSite, dp, otherDp, fullAdmin, operator, reader, client];

interface ServerOptions {
  readonly credentials?: PeerCredentials;
  readonly trust?: PeerTrust;
  readonly address?: string;
  readonly shutdownGraceMs?: number;
  readonly keepalive?: Keepalive;
}

/** A promise and what settles it. */
export function promised<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** Resolves when the signal fires, or at once when it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** A CA, whoever has a certificate of it, and the servers and channels of one test. */
export class TrustCircle implements AsyncDisposable {
  readonly audit: AuditEvent[] = [];
  readonly log = new CapturedLog();
  readonly #directory: TemporaryDirectory;
  readonly #closing: (() => Promise<void> | void)[] = [];
  #onAudited: () => void = () => {};

  private constructor(directory: TemporaryDirectory) {
    this.#directory = directory;
  }

  static async create(): Promise<TrustCircle> {
    return new TrustCircle(await TemporaryDirectory.create());
  }

  /** A certificate of this circle's CA or of another one, sound or broken. */
  async credentials(
    identity: PeerIdentity,
    { ca = 'own', flaw }: { ca?: 'own' | 'foreign'; flaw?: Flaw } = {},
  ): Promise<PeerCredentials> {
    const directory = this.#directory.join(ca);
    const request = { directory, identities: [identity], ...(flaw && { flaw }) };
    const [files] = await issueDevelopmentHierarchy(request);
    const [certificate, key] = await Promise.all([
      readFile(files!.certificateFile),
      readFile(files!.keyFile),
    ]);
    return { ca: await readFile(files!.caFile), certificate, key, identity };
  }

  /** Another certificate of the same identity, with a new key. */
  async renewed(identity: PeerIdentity): Promise<PeerCredentials> {
    const request = { directory: this.#directory.join('own'), identities: [identity] };
    const [files] = await issueDevelopmentHierarchy(request);
    await rm(files!.certificateFile);
    return this.credentials(identity);
  }

  /** A server of site PS1, not started yet; the circle stops it. */
  async newServer({ credentials, trust, ...config }: ServerOptions = {}): Promise<RpcServer> {
    const server = new RpcServer(
      {
        credentials: credentials ?? (await this.credentials(dp)),
        logger: this.log.logger,
        onAudit: (event) => this.#audited(event),
        ...(trust && { trust }),
      },
      { address: '127.0.0.1:0', siteCode: 'PS1', ...config },
    );
    this.#closing.push(() => server.stop());
    return server;
  }

  /** A server that listens on a free port and has these methods of one conversation. */
  async serve<C extends ConversationName>(
    conversation: C,
    answers: Partial<Conversation<C>>,
    options: ServerOptions = {},
  ): Promise<RpcServer> {
    const server = await this.newServer(options);
    server.serve(conversation, answers as Conversation<C>);
    await server.start();
    return server;
  }

  /** A channel to a server, as site PS1 unless the test says otherwise. */
  async channel<C extends ConversationName>(
    conversation: C,
    address: string,
    options: Partial<RpcChannelOptions<C>> = {},
  ): Promise<RpcChannel<C>> {
    const channel = new RpcChannel({
      conversation,
      address,
      credentials: options.credentials ?? (await this.credentials(site)),
      expected: (peer) => peer.kind === 'dp' && peer.dpId === 'PS1DP1',
      expectedText: 'DP PS1DP1',
      ...options,
    });
    this.#closing.push(() => channel.close());
    return channel;
  }

  /** The first audit event of a method, when it is there. */
  async audited(method: string): Promise<AuditEvent> {
    for (;;) {
      const event = this.audit.find((one) => one.method === method);
      if (event) return event;
      await new Promise<void>((resolve) => {
        this.#onAudited = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
    await this.#directory[Symbol.asyncDispose]();
  }

  #audited(event: AuditEvent): void {
    this.audit.push(event);
    this.#onAudited();
  }
}
