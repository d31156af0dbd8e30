import { isErrorWithCode, type WaybillError } from '../../shared/domain/errors.ts';
import { toErrorDetail } from '../../shared/rpc/error-detail.ts';
import { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import { workIsOver } from '../../shared/runtime/abort-error.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { NeighbourStates } from './neighbour-states.ts';
import type { ReplicationConfig } from './replication-config.ts';
import type { ReplicationLink } from './replication-link.ts';
import type { ReplicationChannel, ReplicationManagerComponents } from './replication-manager.ts';
import { Refusal } from './replication-session.ts';
import type { ReplicationStreams, StreamEnd } from './replication-streams.ts';

/** What dialling the parent needs. */
export interface ParentDiallerNeeds
  extends Pick<
    ReplicationManagerComponents,
    'clock' | 'directory' | 'random' | 'credentials' | 'trust' | 'openChannel'
  > {
  readonly streams: Pick<ReplicationStreams, 'withParent' | 'audit'>;
  readonly states: Pick<NeighbourStates, 'of'>;
}

/** How long a parent may take to hear why it is refused. */
const lastWordMs = 1_000;

/** Keeps one stream with the parent of this site. In memory; a crash leaves nothing. */
export class ParentDialler {
  readonly #needs: ParentDiallerNeeds;
  readonly #config: Pick<ReplicationConfig, 'retryDelayMs' | 'retryDelayMsMax' | 'aliveMs'>;
  readonly #parent: { readonly siteCode: string; readonly address: string };

  /** @param parent as the configuration of this site says it */
  constructor(
    needs: ParentDiallerNeeds,
    config: Pick<ReplicationConfig, 'retryDelayMs' | 'retryDelayMsMax' | 'aliveMs'>,
    parent: { readonly siteCode: string; readonly address: string },
  ) {
    this.#needs = needs;
    this.#config = config;
    this.#parent = parent;
  }

  /** Dials until the signal: at once after a stream that was well, else less and less often. */
  async run(signal: AbortSignal): Promise<void> {
    const { siteCode, address: configured } = this.#parent;
    const { clock, directory, random } = this.#needs;
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    let tryCount = 0;
    while (!signal.aborted) {
      // A route that leads nowhere must not part a site from whoever could correct it.
      const addresses = new Set([...directory.addressesOf(siteCode), configured]);
      const address = [...addresses][tryCount % addresses.size] ?? configured;
      const wasWell = await this.#dial(address, signal);
      tryCount = wasWell ? 0 : tryCount + 1;
      if (wasWell) continue;
      const waitMs = retryDelayMs({ tryCount, firstMs, capMs, random });
      await clock.sleep(waitMs, signal).catch(() => {});
    }
  }

  /** @returns whether the stream lasted, and nothing was refused */
  async #dial(address: string, signal: AbortSignal): Promise<boolean> {
    const { siteCode } = this.#parent;
    const { credentials, trust, openChannel = (options) => new RpcChannel(options) } = this.#needs;
    const channel = openChannel({
      conversation: 'Replication',
      address,
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      ...{ credentials, trust },
    });
    const startedMs = this.#needs.clock.monotonicMs();
    try {
      await this.#call(channel, { siteCode, address, signal });
      return this.#needs.clock.monotonicMs() - startedMs >= this.#config.aliveMs;
    } catch (error) {
      const isOurs = error instanceof Refusal;
      if (isOurs) this.#needs.streams.audit(siteCode, address, error.error);
      const isLost = isErrorWithCode(error, 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED');
      const lastedMs = this.#needs.clock.monotonicMs() - startedMs;
      return (
        isLost && lastedMs >= this.#config.aliveMs && this.#needs.states.of(siteCode).heardAtMs > 0
      );
    } finally {
      channel.close();
    }
  }

  async #call(channel: ReplicationChannel, end: Omit<StreamEnd, 'link'>): Promise<void> {
    const call = channel.duplex('synchronise', {});
    const link: ReplicationLink = {
      send: (message) => call.write(message),
      receive: () => call.read(),
    };
    try {
      await this.#needs.streams.withParent({ ...end, link });
      call.end();
    } catch (error) {
      if (error instanceof Refusal) await this.#sayRefused(link, error.error);
      throw error;
    } finally {
      call.cancel();
    }
  }

  /** The parent hears why, if it still listens: it ends the stream then. */
  async #sayRefused(link: ReplicationLink, error: WaybillError): Promise<void> {
    const over = new AbortController();
    const untilEnd = async () => {
      await link.send({ refused: toErrorDetail(error.details) });
      while (await link.receive());
    };
    const tooLong = this.#needs.clock.sleep(lastWordMs, over.signal).catch(() => {});
    await Promise.race([untilEnd().catch(() => {}), tooLong]);
    over.abort(workIsOver);
  }
}
