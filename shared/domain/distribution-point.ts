import type { PullSettings } from './pull-source.ts';
import type { TransferControls } from './transfer-controls.ts';
import type { ValidationSchedule } from './validation-schedule.ts';

/** How content reaches a distribution point: the site pushes it, or the DP fetches it. */
export type DistributionPointKind = 'standard' | 'pull';

/** A DP of this site as it is configured. */
export interface DistributionPoint {
  readonly dpId: string;
  /** host:port of the agent. */
  readonly address: string;
  readonly kind: DistributionPointKind;
  readonly description: string;
  readonly siteCode: string;
  /** How it fetches as a pull DP; kept, and not used, while it is a standard one. */
  readonly pull?: PullSettings;
  /** What it may be sent, or as a pull DP fetch, when and how fast; absent: always, with no limit. */
  readonly controls?: TransferControls;
  /** The same for what it serves to others. */
  readonly serveControls?: TransferControls;
  /** How often its packages are validated; absent: never by itself. */
  readonly validation?: ValidationSchedule;
  /** Its place in the queue, as an administrator wants it; absent: it tunes itself. */
  readonly pinnedPriority?: number;
}

/** The priority of a DP nobody has measured yet. Lower goes first. */
export const distributionPointPriorityDefault = 200;
/** What a priority may be, tuned or pinned. */
export const distributionPointPriorityMin = 1;
export const distributionPointPriorityMax = 400;

/** The text itself when it can name a DP: 1 to 63 letters, digits, dots and hyphens. */
export function parseDistributionPointId(text: string): string | undefined {
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/.test(text) ? text : undefined;
}

/** What an address must be besides host:port. */
export const addressRules = 'the port from 1 to 65535, an IPv6 host in brackets';
/** What `parseAddress` takes, for whoever is told that his text is none. */
export const addressForm = `host:port, ${addressRules}`;

/** The text itself when it is host:port; an IPv6 host stands in brackets. */
export function parseAddress(text: string): string | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  return match && port >= 1 && port <= 65_535 ? text : undefined;
}

/** Whether an agent can listen there: host:port, where port 0 is any. */
export function isListenAddress(text: string): boolean {
  return parseAddress(text.replace(/:0$/, ':1')) !== undefined;
}

/**
 * Priority of a DP from its measured rate, for the order of the queue: 200 at about 10 MB/s,
 * 50 less for each tenfold rate, within 1 to 400; so quick DPs come first and free their slots.
 */
export function tunedPriority(bytesPerSecond: number): number {
  if (bytesPerSecond <= 0) return distributionPointPriorityDefault;
  const tuned = distributionPointPriorityDefault - 50 * Math.log10(bytesPerSecond / 10_000_000);
  const most = Math.min(distributionPointPriorityMax, Math.round(tuned));
  return Math.max(distributionPointPriorityMin, most);
}
