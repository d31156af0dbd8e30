import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type AgentEnrollment,
  type AgentEnrollmentNeeds,
  enrollAgent,
} from '../../shared/enrollment/agent-enrollment.ts';
import type { Enrolled } from '../../shared/enrollment/enrolling.ts';
import type { ProgramEnrollmentEnd } from '../../shared/enrollment/enrollment-program.ts';
import { IdentityPlace, ownerOf } from '../../shared/enrollment/identity-place.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { siteConfigSchema } from '../site-config.ts';

/** What is said on the command line. */
export interface SiteEnrollment {
  readonly siteCode: string;
  /** host:port of the enrollment port of any site of the hierarchy. */
  readonly server: string;
  /** The site that must answer there; undefined: any of the hierarchy. */
  readonly serverSite: string | undefined;
  /** host:port by which it will be reached; empty: as the hierarchy knows it. */
  readonly address: string;
  /** host:port to listen on; undefined: everywhere, on the port of the address. */
  readonly listen: string | undefined;
  /** The same for its own enrollment port; undefined: as the configuration has it by itself. */
  readonly enrollmentListen: string | undefined;
  readonly configPath: string;
  readonly dataDirectory: string;
  readonly isForced: boolean;
}

/**
 * Makes this machine a site of a hierarchy: its authority, signed by the root, in `<data>/authority`, the roots
 * in `<data>/identity`, and its configuration. Its own certificate it makes itself when it starts. Nothing is
 * started.
 *
 * @throws as `enrollAgent`
 */
export async function enrollSite(
  needs: AgentEnrollmentNeeds & { readonly ourUid: number | undefined },
  asked: SiteEnrollment,
): Promise<ProgramEnrollmentEnd> {
  const { siteCode, server, serverSite, address, isForced } = asked;
  const dataDirectory = resolve(asked.dataDirectory);
  const configPath = resolve(asked.configPath);
  const directory = join(dataDirectory, 'identity');
  const owner = await ownerOf(dataDirectory, needs.ourUid);
  const authorityFile = join(dataDirectory, 'authority', 'authority.pem');
  const place = new IdentityPlace(directory, authorityFile, owner);
  const enrollment: AgentEnrollment = {
    ...{ identity: { kind: 'site', siteCode }, server, serverSite, address },
    ...{ place, configPath, isForced },
    checkConfig: () => requireSame(configPath, { siteCode, dataDirectory }),
    configText: (given) => configTextOf(given, { ...asked, dataDirectory }, place),
  };
  const end = await enrollAgent(needs, enrollment);
  return { ...end, owner, finish: () => place.finish() };
}

function configTextOf(
  { place: granted }: Enrolled,
  { siteCode, listen, enrollmentListen, dataDirectory }: SiteEnrollment,
  place: IdentityPlace,
): string {
  const { address, parent, siteKind, enrollmentAddress } = granted;
  const port = /:(\d+)$/.exec(address)?.[1] ?? '8530';
  const agentFile = join(place.directory, 'agent.pem');
  const settings = {
    siteCode,
    kind: siteKind,
    ...(parent && { parent }),
    listen: listen ?? `0.0.0.0:${port}`,
    ...(address !== '' && { address }),
    dataDirectory,
    certificates: {
      caFile: place.rootsFile,
      certificateFile: agentFile,
      keyFile: agentFile,
      ...(enrollmentAddress !== '' && { renewalAddress: enrollmentAddress }),
    },
    ...(enrollmentListen !== undefined && { enrollment: { listen: enrollmentListen } }),
  };
  return `# Written by "waybill-site enroll". Every key there is: docs/configuration.md\n${stringify(settings)}`;
}

/** @throws CONFIG_INVALID, ALREADY_ENROLLED */
async function requireSame(
  path: string,
  expected: { readonly siteCode: string; readonly dataDirectory: string },
): Promise<void> {
  const { siteCode, dataDirectory } = await loadConfig({
    ...{ schema: siteConfigSchema, file: path, environment: {} },
    ...{ environmentPrefix: 'WAYBILL_SITE_', flags: {} },
  });
  const isSameData = resolve(dataDirectory) === expected.dataDirectory;
  if (siteCode === expected.siteCode && isSameData) return;
  const reason = `it is the configuration of site ${siteCode} with the data directory ${dataDirectory}, and is not written over. Name another one with --config, or its data directory with --data`;
  throw new WaybillError({ code: 'ALREADY_ENROLLED', path, reason });
}
