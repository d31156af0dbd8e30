import type { Session } from './session.ts';
import { type SiteRecord, toSiteRecord } from './site-record.ts';
import { toAgeText } from './units.ts';

/** A neighbour of the site that answers which is not connected: what comes through it may be old. */
export interface Silence {
  readonly siteCode: string;
  /** When it was last heard of; 0: not since the site that answers began. */
  readonly heardAtMs: number;
  /** The sites of which is heard through it. */
  readonly sides: ReadonlySet<string>;
}

/** The silent neighbours through which some of these rows came. */
export async function silencesOf(
  { admin }: Session,
  rows: readonly { readonly siteCode: string }[],
): Promise<Silence[]> {
  const siteCodes = new Set(rows.map(({ siteCode }) => siteCode));
  // A site without neighbours has rows of its own alone.
  if (siteCodes.size === 0) return [];
  const own = (await admin.ask('getSite', {})).siteCode;
  siteCodes.delete(own);
  if (siteCodes.size === 0) return [];
  const sites = (await admin.list('listSites', {})).map(toSiteRecord);
  const parents = new Map(sites.map((site) => [site.siteCode, site.parentSiteCode]));
  return sites.flatMap(({ siteCode, replication }) => {
    if (!replication || replication.connected) return [];
    const isBehind = (code: string) => neighbourOf({ parents, own }, code) === siteCode;
    const sides = new Set([...siteCodes].filter(isBehind));
    return sides.size > 0 ? [{ siteCode, heardAtMs: replication.heardAtMs, sides }] : [];
  });
}

/** `PS2 is not connected and was last heard of 3 d ago; what is said of it was so then.` */
export function toSilenceText({ siteCode, heardAtMs, sides }: Silence, nowMs: number): string {
  const when = toSilentText({ siteCode, heardAtMs }, nowMs);
  return `${when}; what is said of ${[...sides].join(', ')} was so then.`;
}

function toSilentText(
  { siteCode, heardAtMs }: Pick<Silence, 'siteCode' | 'heardAtMs'>,
  nowMs: number,
): string {
  const when =
    heardAtMs > 0
      ? `was last heard of ${toAgeText(heardAtMs, nowMs)}`
      : 'was not heard of since the site that answers began';
  return `${siteCode} is not connected and ${when}`;
}

/** What is waited for there: `PS2 is not connected …: what is waited for at PS2 begins once it is back.` */
export function toWaitingText({ siteCode, heardAtMs, sides }: Silence, nowMs: number): string {
  const when = toSilentText({ siteCode, heardAtMs }, nowMs);
  return `${when}; what is waited for at ${[...sides].join(', ')} goes on once it is back.`;
}

/** The child of this site on whose side another one is, else the parent. */
function neighbourOf(
  { parents, own }: { parents: ReadonlyMap<string, SiteRecord['parentSiteCode']>; own: string },
  siteCode: string,
): string {
  let next = siteCode;
  for (let left = parents.size; left > 0; left--) {
    const parent = parents.get(next) ?? '';
    if (parent === own) return next;
    if (parent === '') break;
    next = parent;
  }
  return parents.get(own) ?? '';
}
