"""What a node runs: images after their verdict, and the engines that ask first."""
