import type { ArgumentsCamelCase, Argv } from 'yargs';
import { parseDistributionPointId } from '../../shared/domain/distribution-point.ts';
import {
  type ConfiguredSource,
  configuredSourceCountMax,
  type PullSettings,
  pullPackagesMaxDefault,
  sourceRankMax,
} from '../../shared/domain/pull-source.ts';
import type { GlobalArguments } from './command.ts';
import { refusedWord, UsageError } from './command-failure.ts';
import { option, packagesMaxText, repeatedOption, wordOption } from './options.ts';

const kinds = ['standard', 'pull'] as const;

/** The kinds on the wire. */
export const wireKinds = {
  standard: 'DISTRIBUTION_POINT_KIND_STANDARD',
  pull: 'DISTRIBUTION_POINT_KIND_PULL',
} as const;

/** A source as it is given; without a rank when none is. */
interface GivenSource {
  readonly dpId: string;
  readonly rank: number | undefined;
}

/** Instead of sources: there shall be none. */
const noSources = 'none';

const sourceText = {
  parse: (text: string): GivenSource | typeof noSources | undefined => {
    if (text === noSources) return noSources;
    const [, name = '', rankText] = /^([^:]*)(?::([1-9][0-9]{0,3}))?$/.exec(text) ?? [];
    const dpId = parseDistributionPointId(name);
    const rank = rankText === undefined ? undefined : Number(rankText);
    return dpId === undefined || (rank ?? 1) > sourceRankMax ? undefined : { dpId, rank };
  },
  expected: `DP or DP:RANK with a rank from 1 to ${sourceRankMax}, such as PS1DP1:2; or ${noSources}`,
};

/** Adds what `dp add` and `dp set` say of how a DP gets its content. */
export function pullOptions<A extends GlobalArguments>(parser: Argv<A>) {
  return parser
    .option(
      'kind',
      wordOption(
        'kind',
        'standard: content is pushed to it; pull: it fetches for itself. A new DP is standard unless told',
        kinds,
      ),
    )
    .option(
      'source',
      repeatedOption(
        'source',
        'DP[:RANK] a pull DP fetches from; repeatable. Lowest rank first, equal ranks serve ' +
          'together; without RANK its place in the row: 1 for the first. "none" alone takes all away',
        sourceText,
      ),
    )
    .option('allow-fallback', {
      type: 'boolean',
      describe:
        'Where no source has it, any DP of the site gives it, then the site server; ' +
        '--no-allow-fallback ends that',
    } as const)
    .option(
      'packages-max',
      option(
        'packages-max',
        'Packages a pull DP fetches at once: 1 to 50, at first 5',
        packagesMaxText,
      ),
    );
}

type PullArguments =
  ReturnType<typeof pullOptions<GlobalArguments>> extends Argv<infer A>
    ? ArgumentsCamelCase<A>
    : never;

/** What was said of pull settings; what was not said is undefined. */
export type GivenPullSettings = { readonly [K in keyof PullSettings]: PullSettings[K] | undefined };

/**
 * What the options say; undefined when none was given.
 *
 * @throws UsageError when a DP is named twice, is its own source, or too many are named
 */
export function givenPullSettings(
  dpId: string,
  args: Pick<PullArguments, 'source' | 'allowFallback' | 'packagesMax'>,
): GivenPullSettings | undefined {
  const { source, allowFallback, packagesMax } = args;
  const sources = source && toSources(dpId, source);
  const values = [sources, allowFallback, packagesMax];
  if (values.every((value) => value === undefined)) return undefined;
  return { sources, allowFallback, packagesMax };
}

/** The settings as a whole, as the wire wants them: what is said now, else as it was. */
export function mergedPullSettings(
  given: GivenPullSettings,
  present: PullSettings | undefined,
): { sources: ConfiguredSource[]; allowFallback: boolean; packagesMax: number } {
  return {
    sources: [...(given.sources ?? present?.sources ?? [])],
    allowFallback: given.allowFallback ?? present?.allowFallback ?? false,
    packagesMax: given.packagesMax ?? present?.packagesMax ?? pullPackagesMaxDefault,
  };
}

function toSources(
  dpId: string,
  given: readonly (GivenSource | typeof noSources)[],
): ConfiguredSource[] {
  const named = given.filter((source) => source !== noSources);
  if (named.length < given.length) {
    if (given.length === 1) return [];
    throw new UsageError(`--source: expected "${noSources}" or sources, not both`);
  }
  if (named.length > configuredSourceCountMax) {
    const max = configuredSourceCountMax;
    throw refusedWord('--source', {
      expected: `at most ${max} sources`,
      actual: `${named.length}`,
    });
  }
  requireOthers(dpId, named);
  return named.map((source, index) => ({ dpId: source.dpId, rank: source.rank ?? index + 1 }));
}

function requireOthers(dpId: string, sources: readonly GivenSource[]): void {
  const names = sources.map((source) => source.dpId);
  if (names.includes(dpId)) {
    const actual = `${dpId} itself`;
    throw refusedWord('--source', { expected: 'other distribution points', actual });
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  throw refusedWord('--source', { expected: 'each source once', actual: `${twice} twice` });
}
