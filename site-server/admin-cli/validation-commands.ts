import { type Command, command } from './command.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
import { requireKnown } from './known-names.ts';
import {
  distributionPointIdText,
  flag,
  option,
  packageIdText,
  repeatedOption,
  siteCodeText,
  siteOption,
} from './options.ts';
import { packageIdPositional } from './package-request.ts';
import { meantTargets, membersOf, targetOptions } from './package-target-commands.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { TargetSites } from './target-sites.ts';
import { toCountOf } from './units.ts';
import { readRateText } from './validation-options.ts';
import {
  toValidationRecord,
  unsoundCountOf,
  type ValidationRecord,
  validationColumns,
} from './validation-record.ts';
import { whenValidated } from './validation-wait.ts';

const validatePackage = command({
  path: 'package validate',
  positionals: '<package-id>',
  summary: 'Read all of a package on distribution points again; bring again what is damaged',
  example: 'waybill package validate PS100001 --all --rate 20MB/s --wait',
  options: (parser) =>
    targetOptions(parser, 'All DPs that have it')
      .option('repair', {
        type: 'boolean',
        default: true,
        describe: 'Bring again what is damaged or missing; --no-repair only tells',
      } as const)
      .option(
        'site-copy',
        repeatedOption(
          'site-copy',
          'The copy in the library of this site; repeatable',
          siteCodeText,
        ),
      )
      .option('rate', option('rate', 'How fast each DP reads, such as 20MB/s', readRateText)),
  run: async (args, session) => {
    const { packageId, all, wait, repair, rate } = args;
    if (args.siteCopy) return validateSiteCopies(session, { ...args, siteCopies: args.siteCopy });
    const requested = [...new Set(args.dp ?? [])];
    const sites = [...new Set(args.site ?? [])];
    const groups = [...new Set(args.group ?? [])];
    if (all === requested.length + sites.length + groups.length > 0) {
      const expected = 'either --dp, --group or --site (once or several times) or --all';
      throw new UsageError(`expected ${expected}`);
    }
    const members = await membersOf(session, groups);
    const isMeant = await meantTargets(session, { all, requested, sites, members });
    const asked = { packageId, goal: 'installed', isRepair: true, isMeant } as const;
    const places = wait ? await TargetSites.look(session, asked) : undefined;
    const { dpIds, wishId } = await session.admin.ask('validatePackage', {
      targets: { packageId, dpIds: requested, allDps: all, siteCodes: sites, groupNames: groups },
      noRepair: !repair,
      bytesPerSecond: rate ?? 0,
    });
    if (!places || dpIds.length === 0) return tellAccepted(session, { packageId, dpIds });
    const results: ValidationRecord[] = [];
    for (const place of await places.of(dpIds)) {
      const wish = { packageId, wishId, repair, dpIds: place.dpIds };
      results.push(...(await whenValidated(place.session, wish)));
    }
    tellResults(session, { packageId, results });
  },
});

/** Each site is asked itself: nobody else knows its library. */
async function validateSiteCopies(
  connected: Session,
  asked: {
    readonly packageId: string;
    readonly siteCopies: readonly string[];
    readonly dp: readonly string[] | undefined;
    readonly site: readonly string[] | undefined;
    readonly group: readonly string[] | undefined;
    readonly all: boolean;
    readonly repair: boolean;
    readonly rate: number | undefined;
    readonly wait: boolean;
  },
): Promise<void> {
  const { packageId, siteCopies, dp, site, group, all, repair, rate, wait } = asked;
  if (all || dp || site || group)
    throw new UsageError('expected either --site-copy or DPs, not both');
  const results: ValidationRecord[] = [];
  for (const siteCode of new Set(siteCopies)) {
    const session = await connected.atSite(siteCode);
    const request = { targets: { packageId }, ownCopy: true, noRepair: !repair };
    const { wishId } = await session.admin.ask('validatePackage', {
      ...request,
      bytesPerSecond: rate ?? 0,
    });
    if (!wait) continue;
    const wish = { packageId, wishId, repair, dpIds: [''], siteCode };
    results.push(...(await whenValidated(session, wish)));
  }
  if (wait) tellResults(connected, { packageId, results });
  else {
    const { output } = connected;
    output.record({ packageId, siteCopies, results: [] });
    output.sentence(
      `The copy of ${packageId} is validated at ${siteCopies.join(', ')}: waybill package report ${packageId}`,
    );
  }
}

const reportPackages = command({
  path: 'package report',
  positionals: '[package-id]',
  summary: 'What the last validations found: which DP misses or holds damaged what',
  example: 'waybill package report --damaged',
  options: (parser) =>
    parser
      .positional('package-id', { ...packageIdPositional, demandOption: false } as const)
      .option('package', option('package', 'Only this package', packageIdText))
      .option('dp', option('dp', 'Only this distribution point', distributionPointIdText))
      .option('damaged', flag('Only what is not whole now, with its files'))
      .option('site', siteOption),
  run: async (args, session) => {
    const packageId = args.packageId ?? args.package ?? '';
    const { dp: dpId = '', site: siteCode = '', damaged } = args;
    const filter = { packageId, dpId, siteCode, unsoundOnly: damaged };
    const rows = await session.admin.list('listValidationResults', filter);
    if (rows.length === 0) await requireKnown(session, { packageId, dpId, siteCode });
    const records = rows.map(toValidationRecord);
    const { output, clock } = session;
    const empty = damaged ? 'All that was validated is whole.' : 'Nothing was validated yet.';
    output.list(records, validationColumns(records, clock.nowMs()), empty);
    if (damaged) tellFiles(session, records);
  },
});

/** `waybill package validate` and `waybill package report`. */
export const validationCommands: readonly Command[] = [validatePackage, reportPackages];

function tellAccepted({ output }: Session, told: { packageId: string; dpIds: string[] }): void {
  const { packageId, dpIds } = told;
  output.record({ packageId, dpIds, results: [] });
  output.sentence(
    dpIds.length > 0
      ? `Package ${packageId} is validated on ${dpIds.join(', ')}: waybill package report ${packageId}`
      : `Package ${packageId}: nothing to do, none of them has it.`,
  );
}

/** @throws CommandFailure TARGETS_FAILED when something is not whole, or could not be validated */
function tellResults(
  { output, clock }: Session,
  { packageId, results }: { packageId: string; results: readonly ValidationRecord[] },
): void {
  output.record({ packageId, dpIds: results.map(({ dpId }) => dpId), results });
  const isBad = (one: ValidationRecord) => unsoundCountOf(one) > 0 || one.failure !== '';
  const failures = results.filter(isBad).map((one) => ({
    dpId: one.dpId || `site ${one.siteCode}`,
    reason: toUnsoundText(one),
  }));
  if (!output.json) output.list(results, validationColumns(results, clock.nowMs()), '');
  if (failures.length === 0) {
    const repaired = results.reduce((sum, { repairedFiles }) => sum + repairedFiles, 0);
    const were = repaired === 1 ? 'was' : 'were';
    const what = repaired > 0 ? `${toCountOf(repaired, 'file')} ${were} repaired` : 'all is whole';
    output.sentence(`Package ${packageId} was validated: ${what}.`);
    return;
  }
  const reasons = failures.map(({ dpId, reason }) => `${dpId} (${reason})`).join(', ');
  const message = `Package ${packageId} is not whole on ${reasons}`;
  throw new CommandFailure('TARGETS_FAILED', message, { packageId, failures });
}

const namedMax = 3;

/** Why it failed, or how much is not whole, and the first of it by name. */
function toUnsoundText(record: ValidationRecord): string {
  const { failure, files } = record;
  const count = unsoundCountOf(record);
  if (count === 0) return failure;
  const named = files.slice(0, namedMax).map(({ path }) => path);
  const left = count - named.length;
  const which =
    named.length > 0 ? `: ${named.join(', ')}${left > 0 ? ` and ${left} more` : ''}` : '';
  const are = `${toCountOf(count, 'file')} ${count === 1 ? 'is' : 'are'} damaged or missing${which}`;
  return failure === '' ? are : `${are}; ${failure}`;
}

interface FileRow {
  readonly packageId: string;
  readonly dpId: string;
  readonly path: string;
  readonly finding: string;
  readonly detail: string;
}

function tellFiles({ output }: Session, records: readonly ValidationRecord[]): void {
  const rows: FileRow[] = records.flatMap(({ packageId, dpId, siteCode, files }) =>
    files.map(({ path, finding, detail }) => {
      return { packageId, dpId: dpId || `site ${siteCode}`, path, finding, detail };
    }),
  );
  if (rows.length === 0 || output.json) return;
  const columns: readonly Column<FileRow>[] = [
    { title: 'package', text: (row) => row.packageId },
    { title: 'on', text: (row) => row.dpId },
    { title: 'file', text: (row) => row.path },
    { title: 'is', text: (row) => row.finding, tone: () => 'bad' },
    { title: 'why', text: (row) => row.detail },
  ];
  output.line('');
  output.list(rows, columns, '');
}
