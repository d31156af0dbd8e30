import {
  ChainCheck,
  type ChainFinding,
  type ChainReport,
  type ToldHead,
} from '../../shared/audit-chain/chain-check.ts';
import type { AuditRecord } from '../../shared/domain/audit-record.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { AuditHead__Output } from '../../shared/rpc/generated/waybill/v1/AuditHead.ts';
import type { AuditRecord__Output } from '../../shared/rpc/generated/waybill/v1/AuditRecord.ts';
import type { AuditTrailPart__Output } from '../../shared/rpc/generated/waybill/v1/AuditTrailPart.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import type { Admin } from './admin.ts';
import { CommandFailure } from './command-failure.ts';
import { toAuditTrailRecord } from './message-records.ts';
import type { Session } from './session.ts';
import { toSiteRecord } from './site-record.ts';
import { toCount } from './wire-values.ts';

/** What a trail was compared with. */
interface Comparison {
  /** The site that was told; the trail's own, too. */
  readonly toldTo: string;
  readonly comparedCount: number;
  /** Why it was not compared with what that site was told; empty: it was. */
  readonly failure: string;
}

/** What came of looking through a site's audit trail, as `--json` shows it. */
export type AuditCheckRecord = Omit<ChainReport, 'comparedCount'> & {
  readonly siteCode: string;
  readonly comparisons: readonly Comparison[];
};

/** Days that records stay at least, unless a site is set otherwise (`auditKeptDays`). */
export const keptDaysDefault = 400;
const dayMs = 24 * 3_600_000;
/** A site that was cut off tells late of records that were old by then. */
const toldLateShare = 0.1;

/**
 * Reads the audit trail of a site, and what it and the sites above it were told of it meanwhile, and looks
 * itself whether all fits together: the site is not believed.
 *
 * @param siteCode undefined: the site that is connected
 * @param keptDays how long records stay there at least
 */
export async function checkAuditTrail(
  session: Session,
  siteCode: string | undefined,
  keptDays: number,
): Promise<AuditCheckRecord> {
  const { admin } = await session.atSite(siteCode);
  const ofSite = siteCode ?? (await admin.ask('getSite', {})).siteCode;
  const heads: ToldHead[] = [];
  const comparisons: Comparison[] = [];
  // Before the trail: what is told afterwards may be of records that are not read.
  for (const toldTo of await wayUp(session, ofSite)) {
    const { told, failure } = await headsAt(session, { toldTo, siteCode: ofSite });
    heads.push(...told);
    comparisons.push({ toldTo, comparedCount: told.length, failure });
  }
  const keptMs = (1 - toldLateShare) * keptDays * dayMs;
  const check = new ChainCheck(heads, session.clock.nowMs() - keptMs);
  for await (const part of admin.follow('readAuditTrail', {})) checkPart(check, part);
  const { comparedCount: _, ...report } = check.end();
  return { siteCode: ofSite, ...report, comparisons };
}

/** Looks through the next part of a trail as it came. @throws MESSAGE_INVALID */
export function checkPart(check: ChainCheck, { anchor, records }: AuditTrailPart__Output): void {
  if (anchor) {
    check.goOnFrom({ serial: toCount(anchor.serial, 'serial'), hash: toHash(anchor.hash) });
  }
  for (const record of records) check.add(toRecord(record));
}

/** What was found, as a sentence. */
export function toFindingText(
  finding: ChainFinding,
  { timeZone, keptDays }: { readonly timeZone: string | undefined; readonly keptDays: number },
): string {
  const { serial } = finding;
  switch (finding.kind) {
    case 'altered':
      return `Record ${serial} was altered.`;
    case 'inserted':
      return `Record ${serial} was inserted later.`;
    case 'removed': {
      const what =
        finding.lastSerial === serial
          ? `Record ${serial} was removed`
          : `Records ${serial} to ${finding.lastSerial} were removed, as far as they were there`;
      const otherwise = `or that site keeps records for less than ${keptDays} days (--kept-days)`;
      return finding.isSaidOld ? `${what}; ${otherwise}.` : `${what}.`;
    }
    case 'rewritten': {
      const { toldTo, toldAtMs } = finding.head;
      const when = toTimeText(toldAtMs, timeZone);
      return `Record ${serial}, or one before it, was written anew since ${when}, when ${toldTo} was told of it.`;
    }
  }
}

/** The site itself and those above it, from it to the top. */
async function wayUp({ admin }: Session, siteCode: string): Promise<string[]> {
  const sites = (await admin.list('listSites', {})).map(toSiteRecord);
  const parents = new Map(sites.map((site) => [site.siteCode, site.parentSiteCode]));
  const way: string[] = [];
  for (let next = siteCode; next !== '' && !way.includes(next); next = parents.get(next) ?? '') {
    way.push(next);
  }
  return way;
}

/** A site that cannot be asked, or does not let this administrator ask, is not compared with. */
async function headsAt(
  session: Session,
  { toldTo, siteCode }: { toldTo: string; siteCode: string },
): Promise<{ told: ToldHead[]; failure: string }> {
  try {
    const { admin } = await session.atSite(toldTo);
    return { told: await headsFrom(admin, { toldTo, siteCode }), failure: '' };
  } catch (error) {
    if (!(error instanceof WaybillError || error instanceof CommandFailure)) throw error;
    return { told: [], failure: error.message };
  }
}

async function headsFrom(
  admin: Admin,
  { toldTo, siteCode }: { toldTo: string; siteCode: string },
): Promise<ToldHead[]> {
  const heads = await admin.list('listAuditHeads', { siteCode });
  return heads.map((head) => toToldHead(head, toldTo));
}

/** What a site was told, as it says. @throws MESSAGE_INVALID */
export function toToldHead(
  { serial, hash, toldAtMs }: AuditHead__Output,
  toldTo: string,
): ToldHead {
  return {
    serial: toCount(serial, 'serial'),
    hash: toHash(hash),
    toldAtMs: toCount(toldAtMs, 'told_at_ms'),
    toldTo,
  };
}

function toRecord(wire: AuditRecord__Output): AuditRecord {
  const record = toAuditTrailRecord(wire);
  if (wire.hash.length === 0) return record;
  return { ...record, previousHash: toHash(wire.previousHash), hash: toHash(wire.hash) };
}

function toHash(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
