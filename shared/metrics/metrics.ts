/**
 * What an agent tells a Prometheus server of itself (ADM-7; docs/metrics.md). Made by the wiring, which gives it
 * readers; asked by whoever scrapes, by plain HTTP on a port of its own. No component knows of it: what they
 * say is read when somebody asks. Stores nothing; a crash leaves nothing.
 */
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import type { AgentKind, MetricReader } from './metric-register.ts';
import { MetricRegistry } from './metric-registry.ts';
import { MetricsListener } from './metrics-listener.ts';

/** What metrics need. */
export interface MetricsNeeds {
  readonly kind: AgentKind;
  readonly readers: readonly MetricReader[];
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
}

/** How they are tuned. */
export interface MetricsConfig {
  /** host:port to listen on; port 0 takes a free one. */
  readonly listen: string;
  /** Whoever asks again so soon is given what was read before. @default 1_000 */
  readonly freshMs: number;
}

export const defaultMetricsConfig: Omit<MetricsConfig, 'listen'> = { freshMs: 1_000 };

export class Metrics implements Component {
  readonly #needs: MetricsNeeds;
  readonly #config: MetricsConfig;
  readonly #registry: MetricRegistry;
  readonly #listener: MetricsListener;
  /** What was read last. */
  #last: { readonly text: string; readonly atMs: number } | undefined;
  #reading: Promise<string> | undefined;

  constructor(needs: MetricsNeeds, config: Pick<MetricsConfig, 'listen'> & Partial<MetricsConfig>) {
    const { kind, logger } = needs;
    this.#needs = needs;
    this.#config = { ...defaultMetricsConfig, ...config };
    const registry = new MetricRegistry(kind);
    this.#registry = registry;
    this.#listener = new MetricsListener(
      { page: () => this.#page(), contentType: registry.contentType, logger },
      { address: config.listen },
    );
  }

  /** host:port it listens on, with the port that was free. Only after `start`. */
  get address(): string {
    return this.#listener.address;
  }

  /** @throws ADDRESS_IN_USE, ADDRESS_NOT_USABLE */
  async start(): Promise<void> {
    await this.#listener.start();
  }

  /** No component is asked any more when it resolves. */
  async stop(): Promise<void> {
    await this.#listener.stop();
    await this.#reading?.catch(() => {});
  }

  /** However many ask at once, and however often: the components are asked by one, and once a second. */
  #page(): Promise<string> {
    if (this.#reading !== undefined) return this.#reading;
    const { freshMs } = this.#config;
    const last = this.#last;
    if (last && this.#nowMs() - last.atMs < freshMs) return Promise.resolve(last.text);
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<string> {
    const atMs = this.#nowMs();
    const read = await Promise.all(
      this.#needs.readers.map(async (reader) => [...(await reader())]),
    );
    const text = await this.#registry.page(read.flat());
    this.#last = { text, atMs };
    return text;
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}
