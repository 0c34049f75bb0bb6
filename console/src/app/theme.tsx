// Light or dark: the system's until somebody chooses. `public/theme.js` sets it before the first paint.
import { Moon, Sun } from "lucide-react";
import { useState } from "react";

import { IconButton } from "@/components/button";

const KEPT_AS = "relay.theme";

export function ThemeSwitch() {
  const [isDark, setDark] = useState(document.documentElement.dataset.theme === "dark");
  const flip = () => {
    const theme = isDark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEPT_AS, theme);
    } catch {
      // It then holds until the page is loaded again.
    }
    setDark(!isDark);
  };
  const icon = isDark ? <Sun className="size-4" aria-hidden /> : <Moon className="size-4" aria-hidden />;
  return <IconButton label={isDark ? "Light theme" : "Dark theme"} icon={icon} onClick={flip} />;
}
