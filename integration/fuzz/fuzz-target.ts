import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { type InputForm, mutated } from './mutate.ts';

/** A parser that gets whatever somebody likes to send. */
export interface FuzzTarget {
  readonly name: string;
  readonly form: InputForm;
  /** Words that its inputs are made of. */
  readonly words?: readonly string[];
  /** Right inputs, from which others are made. */
  seeds(): Promise<readonly Buffer[]> | readonly Buffer[];
  /**
   * Gives an input to the parser. Refuses it as the parser does, or takes it.
   *
   * @param seeds as `seeds` gave them, perhaps in another process
   * @throws whatever the parser must not throw, and AssertionError when what it took is not sound
   */
  parse(input: Buffer, seeds: readonly Buffer[]): Promise<void> | void;
}

/** Inputs of a target, each by its number: the same for the same seed. */
export function inputsOf(
  target: FuzzTarget,
  seeds: readonly Buffer[],
  seed: number,
): (index: number) => Buffer {
  return (index) => {
    const random = new SeededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
    return mutated(random, seeds, target);
  };
}
