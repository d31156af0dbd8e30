import type { Component } from '../../runtime/component.ts';
import type { Metrics } from '../metrics.ts';

/** A page of metrics as whoever collects them reads it. */
export interface MetricsPage {
  readonly text: string;
  /** Those of ours. */
  readonly lines: readonly string[];
  /** Names of our metrics, each once, in order. */
  readonly names: readonly string[];
}

/** Starts what serves an agent's metrics, reads the page once, and stops it. */
export async function readMetrics(component: Component | undefined): Promise<MetricsPage> {
  const metrics = component as Metrics;
  await metrics.start();
  const text = await (await fetch(`http://${metrics.address}/metrics`)).text();
  await metrics.stop();
  const lines = text.split('\n').filter((line) => line.startsWith('waybill_'));
  const names = new Set(lines.map((line) => line.replace(/[{ ].*/, '')));
  return { text, lines, names: [...names].toSorted() };
}
