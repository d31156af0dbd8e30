import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import {
  type AgentKind,
  type MetricName,
  metricRegister,
  metricsOf,
  type Reading,
} from './metric-register.ts';

/** A metric as prom-client keeps it. */
type KeptMetric = Gauge | Counter;

/** The metrics of one agent, and those of its process that prom-client knows by itself. */
export class MetricRegistry {
  readonly #registry = new Registry();
  readonly #kept: ReadonlyMap<MetricName, KeptMetric>;

  constructor(kind: AgentKind) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#kept = new Map(
      metricsOf(kind).map((name) => {
        const { type, meaning, labels } = metricRegister[name];
        const facts = { name, help: helpOf(meaning), labelNames: labels, registers };
        return [name, type === 'gauge' ? new Gauge(facts) : new Counter(facts)];
      }),
    );
  }

  /** The media type of the page. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Names of all metrics, prom-client's included. */
  get names(): string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  /** The page a scraper is given: these readings, and nothing of earlier ones. */
  async page(readings: Iterable<Reading>): Promise<string> {
    for (const metric of this.#kept.values()) metric.reset();
    for (const { name, labels, value } of readings) this.#of(name).inc(labels, value);
    return this.#registry.metrics();
  }

  #of(name: MetricName): KeptMetric {
    const kept = this.#kept.get(name);
    if (!kept) throw new Error(`This agent has no metric ${name}`);
    return kept;
  }
}

/** Links of docs/metrics.md are no help at a terminal. */
function helpOf(meaning: string): string {
  return meaning.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, 'docs/$1');
}
