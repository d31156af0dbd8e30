import { cancelledReason } from '../../shared/domain/package-status-moves.ts';
import { type Command, command } from './command.ts';
import { requireKnown } from './known-names.ts';
import {
  distributionPointIdText,
  flag,
  groupOption,
  option,
  optionalPositional,
  packageIdText,
  siteOption,
} from './options.ts';
import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { toSiteRecord } from './site-record.ts';
import { type Silence, silencesOf, toSilenceText } from './site-silence.ts';
import { packageStatusColumns } from './status-columns.ts';
import { jobReasonsOf } from './waiting-jobs.ts';
import { toWaitingSendText, type WaitingSend, waitingSendsOf } from './waiting-sends.ts';

const showStatus = command({
  path: 'status',
  positionals: '[package-id]',
  summary: 'Which package is where, in which version, and why not',
  example: 'waybill status PS100001 --failed',
  options: (parser) =>
    parser
      .positional(
        'package-id',
        optionalPositional('package-id', 'Only this package', packageIdText),
      )
      .option('dp', option('dp', 'Only this distribution point', distributionPointIdText))
      .option('group', groupOption)
      .option('failed', flag('Only what failed'))
      .option('site', siteOption)
      .option('all-sites', allSitesOption),
  run: async ({ packageId = '', dp: dpId = '', failed, site, group, allSites }, asked) => {
    const session = allSites ? await atTop(asked) : asked;
    const request = { packageId, dpId, failedOnly: failed, ...onlyOf(site, group) };
    const rows = await session.admin.list('listPackageStatus', request);
    if (rows.length === 0) await requireKnown(session, request);
    const silences = await silencesOf(session, rows);
    const records = rows.map((row) => {
      const silence = silences.find(({ sides }) => sides.has(row.siteCode));
      return { ...toPackageStatusRecord(row), silentSinceMs: silence?.heardAtMs ?? null };
    });
    const sends = await waitingSendsOf(session, records);
    const reasonOf = (row: PackageStatusRecord) =>
      sends.find((one) => one.packageId === row.packageId && one.siteCode === row.siteCode)?.reason;
    const silent = new Set(silences.flatMap(({ sides }) => [...sides]));
    const jobReasonOf = await jobReasonsOf(session, records, { packageId, silent });
    const told = records.map((row) => {
      return { ...row, sendReason: reasonOf(row) ?? '', jobReason: jobReasonOf(row) };
    });
    tellStatus(session, told, { failedOnly: failed, silences, sends });
    if (rows.length === 0 && !allSites) await tellScope(session, 'waybill status');
  },
});

const retryFailed = command({
  path: 'retry',
  summary: 'Run all that failed again, now',
  example: 'waybill retry --package PS100001',
  options: (parser) =>
    parser
      .option('package', option('package', 'Only this package', packageIdText))
      .option('dp', option('dp', 'Only this distribution point', distributionPointIdText))
      .option('group', groupOption)
      .option('site', siteOption)
      .option('all-sites', allSitesOption),
  run: async ({ package: packageId = '', dp: dpId = '', site, group, allSites }, asked) => {
    const session = allSites ? await atTop(asked) : asked;
    const { admin, output } = session;
    const request = { packageId, dpId, failedOnly: true, ...onlyOf(site, group) };
    const accepted = await admin.ask('retryFailed', request);
    const { dpIds, packageIds = [], siteCodes = [], siteDpIds = [] } = accepted;
    const isNothing = dpIds.length + packageIds.length + siteCodes.length === 0;
    if (isNothing) await requireKnown(session, request);
    output.record({ dpIds, packageIds, siteCodes });
    if (isNothing) output.sentence('Nothing has failed.');
    if (isNothing && !allSites) await tellScope(session, 'waybill retry');
    if (packageIds.length > 0) output.sentence(`Reading again: ${packageIds.join(', ')}.`);
    if (siteCodes.length > 0) output.sentence(toSitesText(siteCodes, siteDpIds));
    const failed = dpIds.filter((dpId) => !siteDpIds.includes(dpId));
    if (failed.length > 0) output.sentence(`Trying again on ${failed.join(', ')}.`);
  },
});

/** It was the site that failed: its DPs only wait for it. */
function toSitesText(siteCodes: readonly string[], dpIds: readonly string[]): string {
  const sites = `${siteCodes.length > 1 ? 'sites' : 'site'} ${siteCodes.join(', ')}`;
  return `Bringing it again to ${sites}${dpIds.length > 0 ? `, for ${dpIds.join(', ')}` : ''}.`;
}

const allSitesOption = flag('Of the whole hierarchy: asked at its top');

/** Status of all sites comes to the top of the hierarchy. */
async function atTop(session: Session): Promise<Session> {
  const sites = (await session.admin.list('listSites', {})).map(toSiteRecord);
  const top = sites.find(({ parentSiteCode }) => parentSiteCode === '');
  return session.atSite(top?.siteCode);
}

/** What became of packages goes up only: a site that is not the top says nothing of those beside it. */
async function tellScope({ admin, output }: Session, command: string): Promise<void> {
  if (output.json) return;
  const { siteCode, parentSiteCode } = await admin.ask('getSite', {});
  if (parentSiteCode === '') return;
  output.sentence(
    `Site ${siteCode} knows of itself and of the sites below it; "${command} --all-sites" asks at the top.`,
  );
}

/** `waybill status` and `waybill retry`. */
export const statusCommands: readonly Command[] = [showStatus, retryFailed];

function onlyOf(site: string | undefined, group: string | undefined) {
  return { ...(site && { siteCode: site }), ...(group && { groupName: group }) };
}

/** A row, and why its job waits. */
type StatusRow = PackageStatusRecord & { readonly jobReason: string };

function tellStatus(
  { output, clock }: Session,
  status: readonly StatusRow[],
  {
    failedOnly,
    silences,
    sends,
  }: { failedOnly: boolean; silences: readonly Silence[]; sends: readonly WaitingSend[] },
): void {
  const empty = failedOnly ? 'Nothing has failed.' : 'No package is on its way or installed.';
  output.list(status, packageStatusColumns(status, clock.nowMs()), empty);
  const failures = toFailuresText(status.filter(({ state }) => state.endsWith('-failed')));
  if (failures !== '') {
    output.line('');
    output.sentence(failures);
  }
  if (sends.length > 0) output.line('');
  for (const send of sends) output.sentence(`${toWaitingSendText(send)}.`);
  for (const silence of silences) output.sentence(toSilenceText(silence, clock.nowMs()));
}

/** How many failed, and what to do; what was cancelled is no failure, but a retry runs it again as well. */
function toFailuresText(failed: readonly PackageStatusRecord[]): string {
  if (failed.length === 0) return '';
  const cancelledCount = failed.filter(({ reason }) => reason.includes(cancelledReason)).length;
  if (cancelledCount === 0) return `${failed.length} failed. "waybill retry" runs them again.`;
  const failedCount = failed.length - cancelledCount;
  const counts = `${failedCount > 0 ? `${failedCount} failed, ` : ''}${cancelledCount} cancelled`;
  return `${counts}. "waybill retry" runs all of them again; --package and --dp select.`;
}
