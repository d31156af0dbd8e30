import { writeFile } from 'node:fs/promises';
import { hashOf } from '../../content-library/content-hash.ts';
import { PieceSource } from '../../content-source/piece-source.ts';
import type { ContentDescriptor } from '../../domain/content.ts';
import type { Delta } from '../../domain/delta.ts';
import { PieceSet } from '../../domain/piece-set.ts';
import { ProviderTest } from '../../package-receiver/testing/provider-test.ts';
import type { CallContext, Conversation, RequestOf, ResponseOf } from '../../rpc/conversation.ts';
import type { ContentName__Output } from '../../rpc/generated/waybill/v1/ContentName.ts';
import type { FetchRequest__Output } from '../../rpc/generated/waybill/v1/FetchRequest.ts';
import { decodeAnswer, encodeMessage, methodDefinition } from '../../rpc/service-definitions.ts';
import { type ArrivingContent, ArrivingContents } from '../arriving-contents.ts';
import { ContentServer, type ContentServerNeeds } from '../content-server.ts';

export type Fetched = ResponseOf<'Content', 'fetch'>;

type NeedsOfTest = (pieceSource: PieceSource) => Partial<ContentServerNeeds>;

/** A request as it comes from the wire. */
export function received(request: RequestOf<'Content', 'fetch'>): FetchRequest__Output {
  const bytes = encodeMessage('Content', 'fetch', request);
  return methodDefinition('Content', 'fetch').requestDeserialize(bytes) as FetchRequest__Output;
}

export const pieceRequest = (content: Buffer, pieceIndex: number) => ({
  piece: { fileHash: Buffer.from(hashOf(content), 'hex'), fileBytes: content.length, pieceIndex },
});

export const filesRequest = (...contents: Buffer[]) => ({
  files: {
    files: contents.map((content) => ({
      fileHash: Buffer.from(hashOf(content), 'hex'),
      fileBytes: content.length,
    })),
  },
});

/** How a call names a content. */
export function nameOf(content: ContentDescriptor): ContentName__Output {
  return {
    contentId: content.contentId,
    contentHash: Buffer.from(content.contentHash, 'hex'),
    signatureHash: Buffer.from(content.signatureHash, 'hex'),
  };
}

/** A request about a content, as it comes from the wire, that says nothing else. */
export function aboutContent(content: ContentName__Output | null) {
  return { content, offsetBytes: '0', bytesMax: 0, priority: 'PRIORITY_UNSPECIFIED' } as const;
}

/** The one content of a version. */
export function onlyContent(version: { readonly contents: readonly ContentDescriptor[] }) {
  return version.contents[0]!;
}

/** A content server over a DP that receives, with a site that has what it brings; made for each test. */
export class ContentServerTest implements AsyncDisposable {
  readonly dp: ProviderTest;
  readonly arriving = new ArrivingContents();
  readonly deltas = new Map<string, readonly Delta[]>();
  readonly pieceSource: PieceSource;
  readonly server: ContentServer;
  /** Ends every call of the test. */
  readonly calls = new AbortController();

  private constructor(dp: ProviderTest, needs: NeedsOfTest) {
    this.dp = dp;
    const { library, log, provider } = dp.dp;
    const { fileLibrary: fileLibraryDirectory } = library.layout;
    this.pieceSource = new PieceSource({ fileLibraryDirectory, cacheBytesMax: 0, openFilesMax: 4 });
    this.server = new ContentServer({
      library,
      pieceSource: this.pieceSource,
      arriving: this.arriving,
      arrivingBytes: provider.arrivingBytes,
      deltas: { deltasOf: async (contentId) => this.deltas.get(contentId) ?? [] },
      clock: dp.clock,
      logger: log.logger,
      ...needs(this.pieceSource),
    });
  }

  /** @param needs what the test gives the server in place of the real one */
  static async open(needs: NeedsOfTest = () => ({})): Promise<ContentServerTest> {
    return new ContentServerTest(await ProviderTest.open(), needs);
  }

  get conversation(): Conversation<'Content'> {
    return this.server.conversation();
  }

  get context(): CallContext {
    return this.contextOf('PS1DP2');
  }

  /** A call of this DP. */
  contextOf(dpId: string): CallContext {
    const caller = { identity: { kind: 'dp', dpId }, address: '127.0.0.1:1' } as const;
    return { caller, signal: this.calls.signal };
  }

  /** Registers a content of the site as one that arrives here, with nothing of it here yet. */
  async arrives(
    descriptor: ContentDescriptor,
    {
      unitCount,
      deltas = { used: [], areKnown: true },
    }: { unitCount: number; deltas?: ArrivingContent['deltas'] },
  ): Promise<{ content: ArrivingContent; end: () => void }> {
    const [manifest = '', signature = ''] = await this.dp.sender.manifestOf(descriptor.contentId);
    const manifestPath = this.dp.directory.join('arriving.manifest');
    const signaturePath = this.dp.directory.join('arriving.signature');
    await writeFile(manifestPath, manifest);
    await writeFile(signaturePath, signature);
    const units = new PieceSet(unitCount);
    const content = { descriptor, manifestPath, signaturePath, units, deltas };
    return { content, end: this.arriving.add(content) };
  }

  /** The answers to these requests, on one stream. */
  async fetched(...requests: RequestOf<'Content', 'fetch'>[]): Promise<Fetched[]> {
    const answers: Fetched[] = [];
    for await (const answer of this.conversation.fetch(
      each(requests.map(received)),
      this.context,
    )) {
      // Copied: its memory is used again.
      answers.push(decodeAnswer('Content', 'fetch', Buffer.from(answer as Buffer)));
    }
    return answers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls.abort();
    await this.pieceSource.stop();
    await this.dp[Symbol.asyncDispose]();
  }
}

/** These items, one after another. */
export async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
