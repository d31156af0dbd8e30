import { join } from 'node:path';
import { stringify } from 'yaml';
import { WaybillError } from '../../shared/domain/errors.ts';
import { type AgentEnrollment, enrollAgent } from '../../shared/enrollment/agent-enrollment.ts';
import type { Enrolled } from '../../shared/enrollment/enrolling.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import {
  readToken,
  type TokenInput,
  TokenInputEnded,
} from '../../shared/enrollment/token-input.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { toSystemReason } from '../../shared/runtime/system-reason.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
import { noConnectionFlags, readConnectionConfig } from './connection.ts';
import type { OwnEnrollment, OwnEnrollmentEnd } from './enroll-commands.ts';

/** What is around whoever enrolls himself. */
export interface OwnEnrollmentSurroundings extends TokenInput {
  readonly homeDirectory: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Enrolls the user of `waybill`: certificate, roots and configuration in `~/.config/waybill`.
 *
 * @throws as `enrollAgent`
 */
export async function enrollHere(
  { identity, server, serverSite, isForced }: OwnEnrollment,
  surroundings: OwnEnrollmentSurroundings,
): Promise<OwnEnrollmentEnd> {
  const { homeDirectory, clock, signal } = surroundings;
  const directory = join(homeDirectory, '.config', 'waybill');
  const place = new IdentityPlace(directory, join(directory, 'agent.pem'));
  const configPath = join(directory, 'config.yaml');
  const readOwn = () =>
    readConnectionConfig(
      { ...noConnectionFlags, config: configPath },
      { environment: {}, homeDirectory },
    );
  const enrollment: AgentEnrollment = {
    ...{ identity, server, serverSite, address: '', place, configPath, isForced, configText },
    checkConfig: async () => {
      // One that is not whole is somebody else's as well.
      const { cert = 'of somebody' } = await readOwn().catch(unlessUsage);
      requireSame(cert, place.credentialFile, configPath);
    },
  };
  const needs = { clock, signal, readToken: () => readToken(surroundings) };
  try {
    const { isNew, notAfterMs } = await enrollAgent(needs, enrollment);
    await place.finish();
    const { server: serverAddress } = await readOwn();
    return { isNew, notAfterMs, configPath, serverAddress };
  } catch (error) {
    throw toFailure(error, directory);
  }
}

function unlessUsage(error: unknown): { readonly cert?: string } {
  if (error instanceof UsageError) return {};
  throw error;
}

/** A terminal hands Ctrl-C to whoever reads from it; the system says what it does not allow. */
function toFailure(error: unknown, directory: string): unknown {
  if (isAbortError(error)) {
    return new CommandFailure('INTERRUPTED', 'Interrupted. The same command goes on', {});
  }
  if (error instanceof TokenInputEnded) return new UsageError(error.message);
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const reason = `it cannot be written: ${toSystemReason(error)}`;
  return new WaybillError(
    { code: 'CERTIFICATE_INVALID', path: directory, reason },
    { cause: error },
  );
}

function configText({ place }: Enrolled): string {
  const { siteCode, siteAddress, enrollmentAddress } = place;
  if (siteAddress === '') {
    const reason = 'it did not say where it is';
    throw new WaybillError({ code: 'PEER_FAILED', peer: 'the site', reason });
  }
  const config = {
    ...{ server: siteAddress, serverSite: siteCode },
    ...{ ca: 'roots.crt', cert: 'agent.pem', key: 'agent.pem' },
    ...(enrollmentAddress !== '' && { renewal: enrollmentAddress }),
  };
  return `# Written by "waybill enroll"; docs/cli.md\n${stringify(config)}`;
}

/** @throws ALREADY_ENROLLED */
function requireSame(certificateFile: string, expected: string, path: string): void {
  if (certificateFile === expected) return;
  const reason = `it is a configuration with the certificate ${certificateFile}, and is not written over. Move it away first`;
  throw new WaybillError({ code: 'ALREADY_ENROLLED', path, reason });
}
