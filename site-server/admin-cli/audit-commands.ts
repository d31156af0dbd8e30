import { scopeText } from '../../shared/domain/admin-scope.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import {
  type AuditCheckRecord,
  checkAuditTrail,
  keptDaysDefault,
  toFindingText,
} from './audit-check.ts';
import { type Command, command } from './command.ts';
import { CommandFailure } from './command-failure.ts';
import { type AuditTrailRecord, toAuditTrailRecord } from './message-records.ts';
import { countText, flag, momentText, option, siteToAskOption } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCountOf } from './units.ts';

const listAudit = command({
  path: 'audit list',
  isDefault: true,
  summary: 'Who called what, with which result; newest last',
  example: 'waybill audit list --refused --since 7d',
  options: (parser) =>
    parser
      .option('refused', flag('Only calls that were refused'))
      .option('since', option('since', 'Such as 30m, 2h, 7d or 2026-03-14', momentText))
      .option('limit', option('limit', 'At most so many, the newest; 200 unless told', countText))
      .option('site', siteToAskOption),
  run: async ({ refused, since, limit, site }, session) => {
    const { admin, output, clock, timeZone } = await session.atSite(site);
    const records = await admin.list('listAuditRecords', {
      refusedOnly: refused,
      sinceMs: since?.(clock.nowMs()) ?? 0,
      limit: limit ?? 0,
    });
    const empty = refused ? 'No call was refused.' : 'The audit trail is empty.';
    output.list(records.map(toAuditTrailRecord), auditColumns(timeZone), empty);
  },
});

const verifyAudit = command({
  path: 'audit verify',
  summary: 'Look whether the audit trail is what was written: nothing altered, removed, inserted',
  example: 'waybill audit verify --site PS1',
  options: (parser) =>
    parser
      .option('site', siteToAskOption)
      .option(
        'kept-days',
        option('days', 'The auditKeptDays of that site; 400 unless told', countText),
      ),
  run: async ({ site, keptDays = keptDaysDefault }, session) => {
    const report = await checkAuditTrail(session, site, keptDays);
    session.output.record(report);
    tell(session, report, keptDays);
    const { siteCode, findingCount } = report;
    if (findingCount === 0) return;
    const found = toCountOf(findingCount, 'finding');
    const message = `The audit trail of site ${siteCode} is not what was written: ${found}`;
    throw new CommandFailure('AUDIT_TRAIL_BROKEN', message, { siteCode, findingCount });
  },
});

/** `waybill audit …`. */
export const auditCommands: readonly Command[] = [listAudit, verifyAudit];

function tell({ output, timeZone }: Session, report: AuditCheckRecord, keptDays: number): void {
  const { siteCode, findings, findingCount, recordCount, comparisons } = report;
  for (const finding of findings) output.sentence(toFindingText(finding, { timeZone, keptDays }));
  const untold = findingCount - findings.length;
  if (untold > 0) output.line(`… and ${untold} more`);
  if (findingCount === 0) {
    const what = recordCount === 0 ? 'is empty' : `is whole: ${toRangeText(report)}`;
    output.sentence(`The audit trail of site ${siteCode} ${what}.`);
  }
  if (report.uncoveredCount > 0) {
    const older = toCountOf(report.uncoveredCount, 'record');
    output.line(`Nothing vouches for the oldest ${older}: an older program wrote them.`);
  }
  for (const { toldTo, comparedCount, failure } of comparisons) {
    if (failure !== '') output.sentence(`Not compared with what ${toldTo} was told: ${failure}`);
    else if (comparedCount === 0) output.sentence(`Nothing was told to ${toldTo} of it yet.`);
    else
      output.sentence(`Compared with what ${toldTo} was told ${toCountOf(comparedCount, 'time')}.`);
  }
}

function toRangeText({ recordCount, oldestSerial, newestSerial }: AuditCheckRecord): string {
  return `${toCountOf(recordCount, 'record')}, ${oldestSerial} to ${newestSerial}`;
}

/** What fits 80 columns whatever is in it: a code of a refusal is as long as the names of calls, and stands with them. */
function auditColumns(timeZone: string | undefined): readonly Column<AuditTrailRecord>[] {
  return [
    { title: 'time', text: (row) => toTimeText(row.timeMs, timeZone), isWhole: true },
    { title: 'caller', text: (row) => toCallerTexts(row).name },
    { title: 'role', text: (row) => toCallerTexts(row).role, spare: 1 },
    { title: 'from', text: (row) => row.address, isWhole: true, spare: 2 },
    { title: 'result', text: (row) => (isOk(row) ? row.result : 'refused'), tone: toneOfAudit },
    { title: 'call', text: toCallText, readableWidth: 32 },
  ];
}

/** `bob` and `operator of site PS1, group Lab`, `DP PS1DP1`; of whoever is none of ours what was written down. */
function toCallerTexts({ caller }: AuditTrailRecord): { name: string; role: string } {
  const identity = fromIdentityUri(caller);
  switch (identity?.kind) {
    case 'admin': {
      const { name, role, scope } = identity;
      return { name, role: `${role}${scope ? ` of ${scopeText(scope)}` : ''}` };
    }
    case 'dp':
      return { name: `DP ${identity.dpId}`, role: '' };
    case 'site':
      return { name: `site ${identity.siteCode}`, role: '' };
    case 'client':
      return { name: `client ${identity.name}`, role: '' };
    default:
      return { name: caller, role: '' };
  }
}

/** `RemovePackage packageId=PS100001`, `RemovePackage: SCOPE_EXCEEDED packageId=PS100001`. */
function toCallText(row: AuditTrailRecord): string {
  const refusal = isOk(row) ? '' : `: ${row.result}`;
  return `${toMethodText(row)}${refusal} ${row.detail}`.trimEnd();
}

/** What administrators call is most of it: their conversation goes without saying. */
function toMethodText({ method }: AuditTrailRecord): string {
  return method.replace(/^\/waybill\.v1\.(Admin\/)?/, '');
}

function toneOfAudit(row: AuditTrailRecord): Tone {
  return isOk(row) ? 'good' : 'bad';
}

function isOk({ result }: AuditTrailRecord): boolean {
  return result === 'ok';
}
