// A value once it has stood still for a while: what is asked for each change of it is asked when somebody stops typing.
import { useEffect, useState } from "react";

const PAUSE_MILLISECONDS = 400;

export function useSettled<T extends string | null>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
