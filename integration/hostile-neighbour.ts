import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { ContentLibrary } from '../shared/content-library/content-library.ts';
import { WaybillError } from '../shared/domain/errors.ts';
import type { PackageInstruction, TransferInstruction } from '../shared/domain/site-instruction.ts';
import { makePackageFile } from '../shared/package-file/package-file-maker.ts';
import {
  defaultVersionHistoryConfig,
  VersionHistory,
} from '../shared/package-file/version-history.ts';
import type { RequestOf } from '../shared/rpc/conversation.ts';
import { type PeerCredentials, readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import { systemClock } from '../shared/runtime/clock.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import {
  encodePackageInstruction,
  encodeTransferInstruction,
  type SignedInstructionParts,
} from '../site-server/site-identity/instructions.ts';
import { SigningKeyFiles } from '../site-server/site-identity/signing-key-files.ts';
import type { HierarchyNetwork } from './hierarchy-network.ts';

const deadlineMs = 20_000;
const mebibyte = 1024 * 1024;

/** A package file, and what a right instruction says of it. */
export interface StolenFile {
  readonly bytes: Buffer;
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly packageHash: string;
}

/** What an instruction says in place of the truth. */
export interface Lies {
  readonly package?: Partial<PackageInstruction>;
  readonly transfer?: Partial<TransferInstruction>;
  /** In place of what was made of these two. */
  readonly signed?: Partial<SignedInstructionParts>;
}

/**
 * A site that somebody has taken over: its certificate, its signing keys and its content are in the
 * hands of a program of ours, while its own server does not run.
 */
export class StolenSite {
  readonly siteCode: string;
  readonly credentials: PeerCredentials;
  readonly keys: SigningKeyFiles;
  readonly #network: HierarchyNetwork;
  #serial = 0;

  private constructor(
    network: HierarchyNetwork,
    siteCode: string,
    { credentials, keys }: { credentials: PeerCredentials; keys: SigningKeyFiles },
  ) {
    this.#network = network;
    this.siteCode = siteCode;
    this.credentials = credentials;
    this.keys = keys;
  }

  /** Takes over a site whose server was stopped. */
  static async of(network: HierarchyNetwork, siteCode: string): Promise<StolenSite> {
    const files = network.certificates.filesOf({ kind: 'site', siteCode });
    const directory = join(network.dataDirectoryOf(siteCode), 'signing-keys');
    const keys = await SigningKeyFiles.open(directory, Date.now());
    return new StolenSite(network, siteCode, {
      credentials: await readPeerCredentials(files),
      keys,
    });
  }

  /** The package file of the newest version of one of its packages, as it would have made it. */
  async packageFileOf(packageId: string): Promise<StolenFile> {
    const data = this.#network.dataDirectoryOf(this.siteCode);
    const logger = pino({ enabled: false });
    const { store } = await StateStore.open({ directory: join(data, 'state-store'), logger });
    const graceMs = 3_600_000;
    const library = new ContentLibrary(
      { store, clock: systemClock, logger },
      {
        ...{ directory: join(data, 'content-library'), unreferencedGraceMs: graceMs },
        ...{ unfinishedGraceMs: graceMs, sweepIntervalMs: graceMs },
      },
    );
    await library.start();
    const directory = join(data, 'package-history');
    const history = new VersionHistory({ library }, { ...defaultVersionHistoryConfig, directory });
    const path = join(this.#network.directory, `stolen-${packageId}`);
    const request = { packageId, baseVersion: 0, path };
    const { sourceVersion, packageHash } = await makePackageFile({ library, history }, request);
    await library.stop();
    await store.close();
    return { bytes: await readFile(path), packageId, sourceVersion, packageHash };
  }

  /** Its instruction for a file, right but for the lies; signed with its newest key. */
  instruction(file: StolenFile, lies: Lies = {}): SignedInstructionParts {
    const nowMs = Date.now();
    const order = encodePackageInstruction({
      ...this.#orderOf(file, nowMs),
      ...lies.package,
    });
    const transfer = encodeTransferInstruction({
      requestId: this.#newId(),
      sendingSiteCode: this.siteCode,
      destinationSiteCode: 'PS1',
      signedAtMs: nowMs,
      nonce: randomBytes(32).toString('hex'),
      packageInstructionHash: hashOf(order),
      ...lies.transfer,
    });
    const bySource = this.keys.sign(order);
    const bySender = this.keys.sign(transfer);
    return {
      ...{ transfer, transferSignature: bySender.signature, transferKeyId: bySender.keyId },
      ...{ package: order, packageSignature: bySource.signature, packageKeyId: bySource.keyId },
      ...lies.signed,
    };
  }

  /** Speaks of package files with another site. */
  transferTo(siteCode: string): HostileSender {
    return new HostileSender(this.#channel('SiteTransfer', siteCode), this.siteCode);
  }

  /** Speaks of rows with its parent. */
  replicationWith(siteCode: string): RpcChannel<'Replication'> {
    return this.#channel('Replication', siteCode);
  }

  /**
   * Stands where its server stood, says that it has every file already, and keeps the instructions
   * that others send to it.
   */
  async receive(): Promise<HostileReceiver> {
    const { address } = this.#network.agent(this.siteCode);
    return HostileReceiver.start({ address, ...this });
  }

  #orderOf({ bytes, ...facts }: StolenFile, nowMs: number): PackageInstruction {
    return {
      ...facts,
      jobId: `${this.siteCode}-F${this.#newId()}`,
      sourceSiteCode: this.siteCode,
      finalSiteCode: 'PS1',
      baseVersion: 0,
      file: { fileHash: hashOf(bytes), fileBytes: bytes.length },
      priority: 2,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 3_600_000,
    };
  }

  #channel<C extends 'SiteTransfer' | 'Replication'>(conversation: C, siteCode: string) {
    return new RpcChannel({
      conversation,
      address: this.#network.agent(siteCode).address,
      expected: () => true,
      expectedText: `site ${siteCode}`,
      credentials: this.credentials,
    });
  }

  #newId(): string {
    this.#serial += 1;
    return `${this.#serial}`.padStart(8, '0');
  }
}

/** Sends what it likes to another site, as the site it has taken over. */
export class HostileSender implements Disposable {
  readonly channel: RpcChannel<'SiteTransfer'>;
  readonly #siteCode: string;

  constructor(channel: RpcChannel<'SiteTransfer'>, siteCode: string) {
    this.channel = channel;
    this.#siteCode = siteCode;
  }

  /** Brings a file whole. @param bytes instead of what its hash promises */
  async putFile(file: StolenFile, bytes = file.bytes): Promise<void> {
    const offer = this.#offerOf(file);
    const { heldBytes } = await this.channel.unary('offerFile', offer, { deadlineMs });
    const from = Number(heldBytes);
    if (from === file.bytes.length) return;
    const call = this.channel.duplex('putFile', { deadlineMs });
    const sent = this.#write(call, offer, bytes.subarray(from), from).catch(() => {});
    for (let held = await call.read(); held; held = await call.read()) if (held.complete) break;
    call.end();
    await sent;
    call.cancel();
  }

  async offer(file: StolenFile, lies: Partial<RequestOf<'SiteTransfer', 'offerFile'>> = {}) {
    const offer = { ...this.#offerOf(file), ...lies };
    await this.channel.unary('offerFile', offer, { deadlineMs });
  }

  async instruct(instruction: SignedInstructionParts): Promise<void> {
    const bytes = (one: Uint8Array) => Buffer.from(one);
    const message = {
      ...instruction,
      transfer: bytes(instruction.transfer),
      transferSignature: bytes(instruction.transferSignature),
      package: bytes(instruction.package),
      packageSignature: bytes(instruction.packageSignature),
    };
    await this.channel.unary('putInstruction', message, { deadlineMs });
  }

  [Symbol.dispose](): void {
    this.channel.close();
  }

  #offerOf({ bytes, packageId, sourceVersion }: StolenFile) {
    return {
      requestId: `00000001${this.#siteCode}`,
      fileHash: Buffer.from(hashOf(bytes), 'hex'),
      fileBytes: bytes.length,
      ...{ packageId, sourceVersion, finalSiteCode: 'PS1' },
    };
  }

  async #write(
    call: { write(message: RequestOf<'SiteTransfer', 'putFile'>): Promise<void> },
    file: RequestOf<'SiteTransfer', 'offerFile'>,
    bytes: Buffer,
    from: number,
  ): Promise<void> {
    for (let at = 0; at < bytes.length; at += mebibyte) {
      const data = bytes.subarray(at, at + mebibyte);
      await call.write(at === 0 ? { file, offset: from, data } : { data });
    }
  }
}

/** Keeps the instructions it is sent, and does nothing about them. */
export class HostileReceiver implements AsyncDisposable {
  readonly #server: RpcServer;
  readonly #taken: SignedInstructionParts[] = [];
  #onTaken = () => {};

  private constructor(server: RpcServer) {
    this.#server = server;
  }

  static async start(site: {
    readonly address: string;
    readonly siteCode: string;
    readonly credentials: PeerCredentials;
  }): Promise<HostileReceiver> {
    const { address, siteCode, credentials } = site;
    const server = new RpcServer(
      { credentials, logger: pino({ enabled: false }), onAudit: () => {} },
      { address, siteCode, shutdownGraceMs: 0 },
    );
    const receiver = new HostileReceiver(server);
    server.serve('SiteTransfer', {
      offerFile: async ({ fileBytes }) => ({ heldBytes: fileBytes }),
      putFile: () => {
        throw new WaybillError({ code: 'PEER_FAILED', peer: siteCode, reason: 'nothing more' });
      },
      putInstruction: async (instruction) => {
        receiver.#taken.push(instruction);
        receiver.#onTaken();
        return {};
      },
    });
    await server.start();
    return receiver;
  }

  /** The first instruction that comes. */
  async first(): Promise<SignedInstructionParts> {
    for (;;) {
      const [first] = this.#taken;
      if (first) return first;
      await new Promise<void>((resolve) => {
        this.#onTaken = resolve;
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
  }
}
