import { WaybillError } from '../../shared/domain/errors.ts';
import { CommandFailure } from './command-failure.ts';
import type { PackageStatusRecord } from './package-status-record.ts';
import { toSendRecord } from './send-record.ts';
import type { Session } from './session.ts';

/** A package that a site waits for, and that waits itself at the site that sends it. */
export interface WaitingSend {
  readonly packageId: string;
  /** The site that is to have it. */
  readonly siteCode: string;
  readonly requestId: string;
  readonly sourceSiteCode: string;
  /** Such as that the window of the route is closed. */
  readonly reason: string;
}

/** So many sites are asked at most: each is a connection of its own. */
const askedSitesMax = 5;

/** What a row says that waits for content of another site. */
const awaitedFrom = /\bfrom site ([A-Z0-9]{3})\b/;

/**
 * Why what these rows wait for is not on its way: only the site that sends it knows. One that cannot be
 * asked is passed over.
 */
export async function waitingSendsOf(
  session: Session,
  rows: readonly PackageStatusRecord[],
): Promise<WaitingSend[]> {
  const awaited = new Map<string, Set<string>>();
  for (const { packageId, siteCode, state, reason } of rows) {
    const source = state === 'installed' ? undefined : awaitedFrom.exec(reason)?.[1];
    if (source === undefined || source === siteCode) continue;
    awaited.set(source, (awaited.get(source) ?? new Set()).add(`${packageId} ${siteCode}`));
  }
  const found: WaitingSend[] = [];
  for (const [sourceSiteCode, wanted] of [...awaited].slice(0, askedSitesMax)) {
    for (const one of await openSendsAt(session, sourceSiteCode)) {
      const { packageId, finalSiteCode: siteCode, requestId, reason } = one;
      if (reason === '' || !wanted.has(`${packageId} ${siteCode}`)) continue;
      found.push({ packageId, siteCode, requestId, sourceSiteCode, reason });
    }
  }
  return found;
}

/** `CS100001 for site PS2, send request 0000002ACS1 of site CS1: Window closed; it opens …`. */
export function toWaitingSendText(send: WaitingSend): string {
  const { packageId, siteCode, requestId, sourceSiteCode, reason } = send;
  return `${packageId} for site ${siteCode}, send request ${requestId} of site ${sourceSiteCode}: ${reason}`;
}

async function openSendsAt(session: Session, siteCode: string) {
  try {
    const { admin } = await session.atSite(siteCode);
    return (await admin.list('listSendRequests', {})).map(toSendRecord);
  } catch (error) {
    const isOfSite = error instanceof WaybillError || error instanceof CommandFailure;
    if (!isOfSite || session.signal.aborted) throw error;
    return [];
  }
}
