import type { Priority } from '../domain/package.ts';
import type { Priority__Output as PriorityName } from '../rpc/generated/waybill/v1/Priority.ts';

/** A priority as it travels. */
export const priorityNames = {
  1: 'PRIORITY_HIGH',
  2: 'PRIORITY_NORMAL',
  3: 'PRIORITY_LOW',
} as const satisfies Record<Priority, PriorityName>;

const priorities = new Map<unknown, Priority>(
  Object.entries(priorityNames).map(([priority, name]) => [name, Number(priority) as Priority]),
);

/** The priority that came over the wire; undefined when none did, or one that is not known. */
export function toPriority(name: unknown): Priority | undefined {
  return priorities.get(name);
}
