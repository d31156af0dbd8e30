import { hashOf } from '../shared/content-library/content-hash.ts';
import { encodeHeader } from '../shared/content-library/manifest-format.ts';
import { packageHashOf } from '../shared/content-library/package-record.ts';
import type { ContentDescriptor } from '../shared/domain/content.ts';
import type { RequestOf } from '../shared/rpc/conversation.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import type { AgentProcess } from './agent-process.ts';
import type { Network } from './network.ts';

type BeginRequest = RequestOf<'DistributionPoint', 'begin'>;

const deadlineMs = 10_000;

/** BLAKE3-256 as the wire has it. */
export function wireHashOf(bytes: Uint8Array): Buffer {
  return Buffer.from(hashOf(bytes), 'hex');
}

/** A content made of any lines whatever, with the hash they have. */
export class AnyContent {
  readonly manifest: Buffer;
  readonly signature: Buffer;
  readonly descriptor: ContentDescriptor;

  /**
   * @param entries what JSON can say; lines of text are taken as they are
   * @param claims what the descriptor and the header say, instead of what is true
   */
  constructor(
    contentId: string,
    entries: readonly unknown[],
    claims: Partial<ContentDescriptor & { signature: Buffer }> = {},
  ) {
    const lines = entries.map((entry) =>
      typeof entry === 'string' ? entry : JSON.stringify(entry),
    );
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const files = entries.filter((entry) => Array.isArray(entry) && entry[0] === 'f');
    const sizes = files.map((file) => (file as unknown[])[3]).filter(isSize);
    const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
    const header = { contentId, entryCount: entries.length, fileCount: files.length, sizeBytes };
    this.manifest = Buffer.concat([Buffer.from(encodeHeader({ ...header, ...claims })), text]);
    this.signature = claims.signature ?? Buffer.alloc(0);
    const { signature: _, ...claimed } = claims;
    this.descriptor = {
      ...header,
      contentHash: hashOf(text),
      signatureHash: hashOf(this.signature),
      manifestBytes: this.manifest.length,
      signatureBytes: this.signature.length,
      ...claimed,
    };
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && Number.isSafeInteger(value);
}

/** A site server that somebody has taken over: its certificate is right, its words are not. */
export class HostileSite implements Disposable {
  readonly channel: RpcChannel<'DistributionPoint'>;
  readonly packageId: string;
  readonly jobSerial: number;

  private constructor(channel: RpcChannel<'DistributionPoint'>, packageId: string) {
    this.channel = channel;
    this.packageId = packageId;
    this.jobSerial = 1;
  }

  /** @param packageId what it speaks of */
  static async at(network: Network, dp: AgentProcess, packageId: string): Promise<HostileSite> {
    const credentials = await readPeerCredentials(
      network.certificateFiles({ kind: 'site', siteCode: 'PS1' }),
    );
    const channel = new RpcChannel({
      conversation: 'DistributionPoint',
      address: dp.address,
      expected: () => true,
      expectedText: 'the DP',
      credentials,
    });
    return new HostileSite(channel, packageId);
  }

  get action() {
    return { packageId: this.packageId, jobSerial: this.jobSerial };
  }

  /** Begins to bring contents. */
  async begin(
    contents: readonly AnyContent[],
    claims: Partial<NonNullable<BeginRequest['package']>> = {},
  ): Promise<void> {
    const descriptors = contents.map(({ descriptor }) => descriptor);
    const version = {
      packageId: this.packageId,
      sourceVersion: 1,
      packageHash: Buffer.from(packageHashOf(descriptors), 'hex'),
      contents: descriptors.map((content) => ({
        ...content,
        contentHash: Buffer.from(content.contentHash, 'hex'),
        signatureHash: Buffer.from(content.signatureHash, 'hex'),
      })),
      properties: { name: 'Hostile', priority: 'PRIORITY_NORMAL' as const },
      ...claims,
    };
    await this.channel.unary('begin', { action: this.action, package: version }, { deadlineMs });
  }

  /** Brings a manifest and its signature, and whatever is to follow them. */
  async putManifest(content: AnyContent, chunks?: readonly Buffer[]): Promise<void> {
    const open = { action: this.action, contentId: content.descriptor.contentId };
    const bytes = chunks ?? [content.manifest, content.signature];
    const messages = [{ open }, ...bytes.map((chunk) => ({ chunk }))];
    await this.channel.clientStream('putManifest', toAsync(messages), { deadlineMs });
  }

  /** What the DP wants of a content. */
  async inspect(contentId: string): Promise<number[]> {
    const wanted: number[] = [];
    const request = { action: this.action, contentId };
    for await (const part of this.channel.serverStream('inspect', request, { deadlineMs })) {
      wanted.push(...part.files.map(({ entryIndex }) => Number(entryIndex)));
    }
    return wanted;
  }

  /** Sends messages on one content stream, each after the acknowledgement of the one before. */
  async putContent(
    messages: readonly RequestOf<'DistributionPoint', 'putContent'>[],
    { isOpened = true } = {},
  ): Promise<void> {
    const call = this.channel.duplex('putContent', { deadlineMs });
    try {
      if (isOpened) await call.write({ open: this.action });
      for (const message of messages) {
        await call.write(message);
        await call.read();
      }
      call.end();
      await call.read();
    } finally {
      call.cancel();
    }
  }

  async commit(): Promise<void> {
    await this.channel.unary('commit', { action: this.action }, { deadlineMs });
  }

  [Symbol.dispose](): void {
    this.channel.close();
  }
}

async function* toAsync<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
