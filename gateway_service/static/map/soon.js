// Work that is asked for often and done now and then.

// A function that has `work` done within `ms`, once for all that ask in the meantime.
export function soon(work, ms) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, ms);
  };
}
