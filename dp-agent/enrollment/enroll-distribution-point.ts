import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type AgentEnrollment,
  type AgentEnrollmentNeeds,
  enrollAgent,
} from '../../shared/enrollment/agent-enrollment.ts';
import { EnrolledAnew } from '../../shared/enrollment/enrolled-anew.ts';
import type { Enrolled } from '../../shared/enrollment/enrolling.ts';
import type { ProgramEnrollmentEnd } from '../../shared/enrollment/enrollment-program.ts';
import { IdentityPlace, ownerOf } from '../../shared/enrollment/identity-place.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { dpConfigSchema } from '../dp-config.ts';

/** What is said on the command line. */
export interface DistributionPointEnrollment {
  readonly dpId: string;
  /** host:port of the enrollment port of its site. */
  readonly server: string;
  /** The site that must answer there; undefined: any of the hierarchy. */
  readonly serverSite: string | undefined;
  /** host:port by which it will be reached; empty: as the site knows it. */
  readonly address: string;
  /** host:port to listen on; undefined: everywhere, on the port of the address. */
  readonly listen: string | undefined;
  readonly configPath: string;
  readonly dataDirectory: string;
  readonly isForced: boolean;
}

const portDefault = '8531';

/**
 * Makes this machine a distribution point: certificate and roots in `<data>/identity`, and its
 * configuration. Nothing is started.
 *
 * @throws as `enrollAgent`
 */
export async function enrollDistributionPoint(
  needs: AgentEnrollmentNeeds & { readonly ourUid: number | undefined },
  asked: DistributionPointEnrollment,
): Promise<ProgramEnrollmentEnd> {
  const { dpId, server, serverSite, address, isForced } = asked;
  const dataDirectory = resolve(asked.dataDirectory);
  const configPath = resolve(asked.configPath);
  const directory = join(dataDirectory, 'identity');
  const owner = await ownerOf(dataDirectory, needs.ourUid);
  const place = new IdentityPlace(directory, join(directory, 'agent.pem'), owner);
  const enrollment: AgentEnrollment = {
    ...{ identity: { kind: 'dp', dpId }, server, serverSite, address },
    ...{ place, configPath, isForced },
    checkConfig: () => requireSame(configPath, { dpId, credentialFile: place.credentialFile }),
    configText: (given) => configTextOf(given, { ...asked, dataDirectory }, place),
  };
  const end = await enrollAgent(needs, enrollment);
  if (end.isNew) await whileActingAs(owner, () => new EnrolledAnew(directory).say(owner));
  return { ...end, owner, finish: () => place.finish() };
}

function configTextOf(
  { place: { siteCode, address, enrollmentAddress } }: Enrolled,
  { dpId, listen, dataDirectory }: DistributionPointEnrollment,
  place: IdentityPlace,
): string {
  const port = /:(\d+)$/.exec(address)?.[1] ?? portDefault;
  const settings = {
    dpId,
    siteCode,
    listen: listen ?? `0.0.0.0:${port}`,
    dataDirectory,
    certificates: {
      caFile: place.rootsFile,
      certificateFile: place.credentialFile,
      keyFile: place.credentialFile,
      ...(enrollmentAddress !== '' && { renewalAddress: enrollmentAddress }),
    },
  };
  return `# Written by "waybill-dp enroll". Every key there is: docs/configuration.md\n${stringify(settings)}`;
}

/** @throws CONFIG_INVALID, ALREADY_ENROLLED */
async function requireSame(
  path: string,
  expected: { readonly dpId: string; readonly credentialFile: string },
): Promise<void> {
  const { dpId, certificates } = await loadConfig({
    ...{ schema: dpConfigSchema, file: path, environment: {} },
    ...{ environmentPrefix: 'WAYBILL_DP_', flags: {} },
  });
  const { certificateFile } = certificates;
  if (dpId === expected.dpId && resolve(certificateFile) === expected.credentialFile) return;
  const reason = `it is the configuration of ${dpId} with the certificate ${certificateFile}, and is not written over. Name another one with --config, or the data directory it belongs to with --data`;
  throw new WaybillError({ code: 'ALREADY_ENROLLED', path, reason });
}
