// The process of `callAsLesserUser`.

import { toThreadFailure } from '../content-library/thread-failure.ts';
import { actAs } from '../runtime/acting-user.ts';
import { type LesserAnswer, type LesserCall, lesserUser } from './lesser-user.ts';

const { module, name, words } = JSON.parse(process.argv[2] ?? '') as LesserCall;
type Called = (...words: readonly unknown[]) => unknown;
// Before it is somebody who may not read the program.
const { [name]: called } = (await import(module)) as Record<string, Called>;
actAs(lesserUser);
process.stdout.write(JSON.stringify(await answerOf(() => called?.(...words))));

async function answerOf(call: () => unknown): Promise<LesserAnswer> {
  try {
    return { value: await call() };
  } catch (error) {
    return { failure: toThreadFailure(error) };
  }
}
