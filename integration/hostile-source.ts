import { pino } from 'pino';
import type { Conversation, ReceivedRequestOf } from '../shared/rpc/conversation.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import type { Network } from './network.ts';

type FetchRequest = ReceivedRequestOf<'Content', 'fetch'>;
type FetchResponse = NonNullable<Awaited<ReturnType<ReturnType<Content['duplex']>['read']>>>;
type Content = RpcChannel<'Content'>;

/** What a source does to an honest answer, or instead of one. */
export type Mischief = (
  request: FetchRequest,
  honest: () => Promise<FetchResponse>,
  signal: AbortSignal,
) => AsyncIterable<FetchResponse>;

/**
 * A source somebody has taken over: it has the certificate and the address of a DP, says that it
 * holds everything, and answers as it likes. Honest answers it gets from another agent.
 */
export class HostileSource implements AsyncDisposable {
  readonly #server: RpcServer;
  readonly #honest: Content;
  /** Requests it was asked so far. */
  readonly requests: FetchRequest[] = [];

  private constructor(server: RpcServer, honest: Content) {
    this.#server = server;
    this.#honest = honest;
  }

  /**
   * Takes the place of a DP that was killed.
   *
   * @param honestDpId who is asked for the truth
   */
  static async start(
    network: Network,
    { dpId, honestDpId, mischief }: { dpId: string; honestDpId: string; mischief: Mischief },
  ): Promise<HostileSource> {
    const credentials = await readPeerCredentials(network.certificateFiles({ kind: 'dp', dpId }));
    const honest = new RpcChannel({
      conversation: 'Content',
      address: network.dp(honestDpId).address,
      expected: () => true,
      expectedText: honestDpId,
      credentials,
    });
    const server = new RpcServer(
      { credentials, logger: pino({ enabled: false }), onAudit: () => {} },
      { address: network.dp(dpId).address, siteCode: 'PS1', shutdownGraceMs: 0 },
    );
    const source = new HostileSource(server, honest);
    server.serve('Content', source.#conversation(mischief));
    await server.start();
    return source;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    this.#honest.close();
  }

  #conversation(mischief: Mischief): Conversation<'Content'> {
    const honest = this.#honest;
    const source = this;
    return {
      getManifest: ({ content }) => honest.serverStream('getManifest', { content }, {}),
      watchHoldings: async function* (_request, { signal }) {
        yield { complete: true };
        await aborted(signal);
      },
      listDeltas: async function* () {},
      fetch: async function* (requests, { signal }) {
        for await (const request of requests) {
          source.requests.push(request);
          yield* mischief(request, () => source.#answerOf(request), signal);
        }
      },
    } as Conversation<'Content'>;
  }

  async #answerOf(request: FetchRequest): Promise<FetchResponse> {
    const call = this.#honest.duplex('fetch', {});
    try {
      await call.write(request);
      const answer = await call.read();
      if (!answer) throw new Error('the honest one did not answer');
      return answer;
    } finally {
      call.cancel();
    }
  }
}

/** What hostile, broken and slow sources do. */
export const mischiefs = {
  /** One bit of every answer is another one. */
  wrongBytes: async function* (_request, honest) {
    const answer = await honest();
    for (const data of [answer.piece?.data, ...(answer.files?.files ?? []).map((f) => f.data)]) {
      if (data && data.length > 0) data[0] = (data[0] ?? 0) ^ 1;
    }
    yield answer;
  },
  /** The last byte of every answer is missing. */
  wrongLengths: async function* (_request, honest) {
    const answer = await honest();
    if (answer.piece) answer.piece.data = answer.piece.data.subarray(0, -1);
    for (const file of answer.files?.files ?? []) file.data = file.data.subarray(0, -1);
    yield answer;
  },
  /** One question, answers without end. */
  endlessData: async function* (_request, honest, signal) {
    const answer = await honest();
    while (!signal.aborted) yield answer;
  },
  /** So slow that a piece takes a quarter of an hour. */
  slow: async function* (_request, honest, signal) {
    await aborted(signal, 1_000_000);
    yield await honest();
  },
  /** Half of what it says it holds is not there. */
  oddPieces: async function* (request, honest) {
    const isOdd = request.piece ? request.piece.pieceIndex % 2 === 1 : false;
    yield isOdd ? await honest() : ({ notHere: {} } as FetchResponse);
  },
  /** It refuses everything. */
  refusing: async function* () {
    for (const never of []) yield never;
    throw new Error('no');
  },
} as const satisfies Record<string, Mischief>;

async function aborted(signal: AbortSignal, orAfterMs?: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = orAfterMs === undefined ? undefined : setTimeout(resolve, orAfterMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
    if (signal.aborted) resolve();
  });
}
