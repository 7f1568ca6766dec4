"""What a node runs: images after their verdict, and engines that ask before they pull."""
