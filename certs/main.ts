import { WaybillError } from '../shared/domain/errors.ts';
import { toIdentityUri } from '../shared/domain/peer-identity.ts';
import { type CertsRequest, parseCommandLine } from './command-line.ts';
import { issueDevelopmentHierarchy } from './development-hierarchy.ts';

/** Exit codes as everywhere: 0 done, 1 failed, 2 wrong usage (ADM-6). */
async function run(request: CertsRequest): Promise<number> {
  try {
    for (const { identity, isNew, certificateFile } of await issueDevelopmentHierarchy(request)) {
      const fate = isNew ? 'issued' : 'kept  ';
      console.log(`${fate} ${certificateFile}  ${toIdentityUri(identity)}`);
    }
    return 0;
  } catch (error) {
    // System errors, such as a directory that may not be written, say what is wrong themselves.
    if (!(error instanceof WaybillError) && !(error instanceof Error && 'syscall' in error)) {
      throw error;
    }
    console.error(error.message);
    return 1;
  }
}

function parsed(args: readonly string[]): CertsRequest | number {
  try {
    return parseCommandLine(args) ?? 0;
  } catch (error) {
    console.error(`${(error as Error).message}\nMore: npm run certs -- --help`);
    return 2;
  }
}

const request = parsed(process.argv.slice(2));
process.exitCode = typeof request === 'number' ? request : await run(request);
