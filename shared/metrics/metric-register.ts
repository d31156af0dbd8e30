/** What a metric is; each metric is one row of docs/metrics.md. */
export interface MetricFacts {
  readonly type: 'gauge' | 'counter';
  /** What its value counts, as the end of its name says it where Prometheus has a word for it. */
  readonly unit: string;
  /** Each has few values: of sites, distribution points and states; never of packages or files. */
  readonly labels: readonly string[];
  /** Which agents have it. */
  readonly agents: readonly AgentKind[];
  readonly meaning: string;
}

export type AgentKind = 'site' | 'dp';

const both = ['site', 'dp'] as const;
const site = ['site'] as const;
const dp = ['dp'] as const;

/** Every metric of ours, by its name. A name is never given another meaning. */
export const metricRegister = {
  waybill_build_info: {
    ...{ type: 'gauge', unit: 'always 1', labels: ['agent', 'version'], agents: both },
    meaning: 'Which agent this is (`site/PS1`, `dp/PS1DP1`), and the version of its program.',
  },
  waybill_certificate_expiry_timestamp_seconds: {
    ...{ type: 'gauge', unit: 'seconds since 1970', labels: ['certificate', 'holder'] },
    agents: both,
    meaning:
      'When a certificate ends. `certificate` is `identity` (of an agent), `site-authority` or `root`. A DP tells of its own chain and the roots it trusts; a site also of its DPs, as they said when they were asked last, and of the other sites.',
  },
  waybill_certificate_valid: {
    ...{ type: 'gauge', unit: '1 or 0', labels: [], agents: both },
    meaning:
      "Whether the agent's own certificate is valid by its clock: 0 when it is expired, or not valid yet; then no peer takes it.",
  },
  waybill_content_bytes_total: {
    ...{ type: 'counter', unit: 'bytes', labels: ['way', 'direction'], agents: both },
    meaning:
      'Content that was moved; what was sent is counted with its manifests and what stands around it on the wire. `way` is `push` (site to DP), `pull` (to whoever fetches) or `site` (package files between sites); `direction` is `sent` or `received`.',
  },
  waybill_content_free_bytes: {
    ...{ type: 'gauge', unit: 'bytes', labels: [], agents: dp },
    meaning: 'Room for content, without what is reserved (`reserveBytes`).',
  },
  waybill_pull_jobs: {
    ...{ type: 'gauge', unit: 'jobs', labels: ['state'], agents: dp },
    meaning:
      'Packages this DP is to fetch: `fetching`, or `waiting` for its turn, its hours, a source or room.',
  },
  waybill_jobs: {
    ...{ type: 'gauge', unit: 'jobs', labels: ['state'], agents: site },
    meaning: 'Open jobs of the site, by their state ([jobs.md](jobs.md)).',
  },
  waybill_jobs_ended_total: {
    ...{ type: 'counter', unit: 'jobs', labels: ['state'], agents: site },
    meaning: 'Jobs that have ended: `complete`, `failed` or `cancelled`.',
  },
  waybill_sends: {
    ...{ type: 'gauge', unit: 'send requests', labels: ['state'], agents: site },
    meaning: 'Open requests to send a package to another site, by their state.',
  },
  waybill_sends_ended_total: {
    ...{ type: 'counter', unit: 'send requests', labels: ['state'], agents: site },
    meaning: 'Send requests that have ended: `complete`, `failed` or `cancelled`.',
  },
  waybill_alarms: {
    ...{ type: 'gauge', unit: 'alarms', labels: ['about'], agents: site },
    meaning:
      'What administrators were told of and is not over ([controls.md](controls.md), 7): a `job` or `send` without progress, a `distribution-point` or neighbour `site` that is away, a `certificate` that ends soon, a site of which nothing newly signed comes (`silent-site`), a site of whose `revocations` not all are heard.',
  },
  waybill_distribution_point_up: {
    ...{ type: 'gauge', unit: '1 or 0', labels: ['distribution_point'], agents: site },
    meaning:
      'Whether a DP of the site answered when it was spoken to last. One that nobody has spoken to yet is absent.',
  },
  waybill_neighbour_up: {
    ...{ type: 'gauge', unit: '1 or 0', labels: ['neighbour'], agents: site },
    meaning: 'Whether the parent site, or a child site, is connected.',
  },
  waybill_replication_lag_seconds: {
    ...{ type: 'gauge', unit: 'seconds', labels: ['neighbour'], agents: site },
    meaning:
      "Age of the oldest change of this site's side that the neighbour has not acknowledged; 0 when it has them all.",
  },
} as const satisfies Record<string, MetricFacts>;

export type MetricName = keyof typeof metricRegister;

/** The labels of a metric, each with its value. */
export type MetricLabels<Name extends MetricName> = Readonly<
  Record<(typeof metricRegister)[Name]['labels'][number], string>
>;

/** The value of a metric at this moment. */
export interface Reading {
  readonly name: MetricName;
  readonly labels: Readonly<Record<string, string>>;
  /** Of a counter all since the process began. */
  readonly value: number;
}

/** What a component says when somebody asks; costs little, however much there is. */
export type MetricReader = () => Iterable<Reading> | Promise<Iterable<Reading>>;

/** A reading that fits the register. */
export function reading<Name extends MetricName>(
  name: Name,
  labels: MetricLabels<Name>,
  value: number,
): Reading {
  return { name, labels, value };
}

/** The metrics that an agent of this kind has. */
export function metricsOf(kind: AgentKind): MetricName[] {
  const names = Object.keys(metricRegister) as MetricName[];
  return names.filter((name) =>
    (metricRegister[name].agents as readonly AgentKind[]).includes(kind),
  );
}
