"""Who may: rules, and the colony that each rule is about."""
