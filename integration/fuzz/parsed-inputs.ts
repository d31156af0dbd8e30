/** What parsers of this process have done with what they were given: an input may go through several. */
export const parsedInputs = { takenCount: 0, refusedCount: 0 };
