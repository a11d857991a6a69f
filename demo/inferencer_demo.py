"""MMPose's Inferencer demo, over limn: python demo/inferencer_demo.py --help"""

from limn import demos

if __name__ == "__main__":
    demos.main(demos.inferencer)
